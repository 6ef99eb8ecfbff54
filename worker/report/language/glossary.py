"""The words of the field in both languages: which Persian word stands for which English one throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One word. meanings: language → what it means here."""

    english: str
    persian: str
    meanings: Mapping[str, str]


def _entry(english: str, persian: str, meaning: str, persian_meaning: str) -> Entry:
    return Entry(english, persian, {"en": meaning, "fa": persian_meaning})


GLOSSARY = (
    _entry("accuracy", "دقت", "right answers over all pictures", "نسبت پاسخ‌های درست به همهٔ تصویرها"),
    _entry(
        "precision", "صحت", "of the pictures given to a class, the fraction that belongs there",
        "از تصویرهایی که به یک رده نسبت داده شده‌اند، چه کسری واقعاً از آن رده‌اند",
    ),
    _entry(
        "recall", "بازیابی (فراخوانی)", "of the pictures of a class, the fraction that was found",
        "از تصویرهای یک رده، چه کسری پیدا شده‌اند",
    ),
    _entry("F1", "امتیاز F1", "harmonic mean of precision and recall", "میانگین همساز صحت و بازیابی"),
    _entry("accuracy drop", "افت دقت", "points of accuracy lost against the baseline", "کاهش دقت نسبت به مدل پایه، بر حسب واحد درصد"),
    _entry("baseline", "مدل پایه", "the trained network before any compression", "شبکهٔ آموزش‌دیده پیش از هر فشرده‌سازی"),
    _entry("pruning", "هرس", "setting weights to zero, or removing channels", "صفر کردن وزن‌ها یا حذف کانال‌ها"),
    _entry("one-shot", "یک‌باره", "everything is removed at once", "همهٔ وزن‌ها در یک نوبت حذف می‌شوند"),
    _entry("step by step", "گام‌به‌گام", "a little is removed, the network is retrained, and so on", "کمی حذف، بازآموزی، و باز از نو"),
    _entry("sparsity", "تُنُکی", "fraction of weights that are zero", "کسری از وزن‌ها که صفر است"),
    _entry("quantization", "کوانتش (کوانتیزاسیون)", "mapping real values to few integers", "نگاشت مقدارهای حقیقی به چند عدد صحیح"),
    _entry("bit width", "تعداد بیت", "bits of one stored integer", "شمار بیت‌های هر عدد صحیح ذخیره‌شده"),
    _entry("scale, zero point", "مقیاس، نقطهٔ صفر", "the two numbers of $x=s(q-z)$", "دو عددِ رابطهٔ $x=s(q-z)$"),
    _entry(
        "quantization-aware training", "آموزش آگاه از کوانتش", "training on values as they will be stored",
        "آموزش روی همان مقدارهایی که ذخیره خواهند شد",
    ),
    _entry("distillation", "تقطیر دانش", "training towards the outputs of another network", "آموزش با هدف گرفتنِ خروجی شبکه‌ای دیگر"),
    _entry("entropy coding", "کدگذاری آنتروپی", "fewer bits for likelier values", "بیت کمتر برای مقدار محتمل‌تر"),
    _entry("ledger", "صورت اندازه‌ها", "all measures of size beside one another", "همهٔ معیارهای اندازه در کنار هم"),
    _entry("confidence interval", "بازهٔ اطمینان", "range that holds the true value in 95 % of cases", "بازه‌ای که در ۹۵ درصد موارد مقدار واقعی را در بر دارد"),
    _entry("control", "آزمایش شاهد", "the same without what is claimed to help", "همان آزمایش بدون عاملی که ادعا می‌شود مؤثر است"),
    _entry("checkpoint", "فایل وزن‌ها", "the stored weights and what rebuilds the network", "وزن‌های ذخیره‌شده و آنچه شبکه را بازمی‌سازد"),
)  # fmt: skip
