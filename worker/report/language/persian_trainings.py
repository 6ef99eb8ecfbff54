"""Persian sentences about trainings that did not go as asked."""

from __future__ import annotations

SENTENCES = {
    "training.gentler": (
        "آموزش <stage> در گام «<step>» با نرخ یادگیری <kept> به جای <rate> از نو آغاز شد، زیرا با نرخ نخست <reason>."
    ),
    "training.no_better": (
        "آموزش <stage> در گام «<step>» همان‌گونه که با نرخ یادگیری <rate> پیش رفت نگه داشته شد، هرچند <reason>: آنچه به جای آن آزموده شد بهتر "
        "نبود."
    ),
    "training.as_it_went": (
        "آموزش <stage> در گام «<step>» همان‌گونه که با نرخ یادگیری <rate> پیش رفت نگه داشته شد، هرچند <reason>."
    ),
    "training.start_kept": (
        "آموزش <stage> در گام «<step>» چیزی نیاموخت: با نرخ یادگیری <rate> <reason> (شمار نرخ‌های آزموده: <rates>، کمترین آن‌ها <lowest>). "
        "وزن‌های آغازین آن با دقت اعتبارسنجی <start> درصد نگه داشته شد."
    ),
    "training.not_learned": (
        "آموزش <stage> در گام «<step>» چیزی نیاموخت: با نرخ یادگیری <rate> <reason> (شمار نرخ‌های آزموده: <rates>، کمترین آن‌ها <lowest>). دقت "
        "اعتبارسنجی از <start> به <accuracy> درصد رسید، در حالی که سهم پرشمارترین رده به‌تنهایی <chance> درصد است."
    ),
}
TERMS = {
    "trouble.loss_not_finite": "زیان عددی متناهی نبود",
    "trouble.forgot_what_it_knew": "شبکه بیشتر آنچه را می‌دانست فراموش کرد",
    "trouble.worse_than_start": "شبکه بدتر از آغاز خود به پایان رسید",
    "trouble.at_chance": "شبکه از حدس زدن پرشمارترین رده بهتر نبود",
    "trouble.loss_above_guessing": "زیان از زیان حدس زدن بالاتر رفت",
}
"""Of values of `worker.core.learning.Trouble`."""
