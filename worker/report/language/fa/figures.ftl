### Captions, and the words within pictures.

## Short texts in figures

figure-best_epoch = نگه‌داشته‌شده: دور { $epoch }
figure-bits = { $bits } بیت
figure-float_accuracy = float32: { $accuracy }٪
figure-chosen = برگزیده: { $sparsity }٪، افت { $drop }
figure-chosen_file = برگزیده: { $kilobytes } کیلوبایت با { $accuracy }٪
figure-dense = چگال: { $accuracy }٪
figure-limit = حد مجاز: { $drop } واحد پایین‌تر
figure-max_drop = حد مجاز: { $drop }
figure-size = { $kilobytes } کیلوبایت   { $ratio } برابر
figure-threshold = کمترین دقت مجاز: { $accuracy }٪
figure-safe = با اندوختهٔ احتیاط: { $accuracy }٪
figure-floor = کف خواسته‌شده: { $accuracy }٪

## Captions

table-split = شمار تصویرهای هر رده در هر بخش.
table-weights = وزن‌های هر لایه.
table-architecture = لایه‌های { $architecture } به ترتیب گذر پیش‌رو.
table-training = شیوهٔ آموزش مدل پایه.
table-quantization_example = شش مقدار با { $bits } بیت، متقارن: $s$ برابر { $scale } و $q$ از { $qmin } تا { $qmax }. حساب‌شده با `linear_quantize` و `linear_dequantize`.
table-measures = معیارهای صورت اندازه‌ها.
table-baseline = شبکهٔ آموزش‌دیده روی هر دو بخش.
table-classes = گزارش رده‌بندی مدل پایه روی آزمون؛ دقت { $accuracy } درصد.
table-final_classes = گزارش رده‌بندی مدل نهایی روی آزمون؛ دقت { $accuracy } درصد.
table-confusions = جفت رده‌هایی که بیشترین اشتباه را دارند، از مجموع { $errors } اشتباه.
table-probes_one_shot = همهٔ تُنُکی‌هایی که جست‌وجوی یک‌باره آزموده است؛ پررنگ: آنچه برگزیده شد.
table-probes_step_by_step = همهٔ گام‌های جست‌وجوی گام‌به‌گام؛ پررنگ: آنچه برگزیده شد.
table-check_sparsity = خروجی `check_sparsity` برای مدل گام‌به‌گام.
table-comparison = هر دو شیوهٔ هرس؛ افت‌ها بر حسب واحد درصد. «بسته‌بندی‌شده» وزن‌های ناصفر و یک نقاب را می‌شمارد.
table-controls = ادعاها (بالا) و آزمایش‌های شاهد (پایین).
table-channels = شبکه پیش و پس از هرس کانال‌ها.
table-widest_training = آموزش آگاه از کوانتش با { $bits } بیت، دور به دور.
table-widest_scores = مدل float32 و مدل { $bits } بیتی روی آزمون؛ صحت، بازیابی و F1 میانگین رده‌ها هستند.
table-widths = همهٔ تعداد بیت‌ها؛ افت‌ها بر حسب واحد درصد، و صحت، بازیابی و F1 میانگین رده‌ها هستند. پررنگ: کوچک‌ترین فایل در حد مجاز روی اعتبارسنجی.
table-formula = اندازه با فرمول، بر حسب کیلوبایت: وزن‌های هر لایه ضربدر تعداد بیت.
table-ledger = صورت اندازه‌های همهٔ مدل‌ها بر حسب کیلوبایت.
table-final = مدل نهایی.
table-ablation = از فایل float32 تا فایل نهایی؛ دقت و افت روی اعتبارسنجی‌اند. صرفه‌جویی نسبت به سطر بالاتر است.
table-file_controls = فایل فشرده و آزمایش‌های شاهدش که هر یک کدگذاری و با عددهای صحیحش سنجیده شده است؛ افت بر حسب واحد درصد.
table-all_models = همهٔ مدل‌های مطالعه؛ افت‌ها بر حسب واحد درصد.
table-jobs = کارهای مطالعه.
table-settings = تنظیم‌های نهایی هر کار.
table-environment = محیط اجرا و تنظیم‌های مطالعه.
table-artifacts = فایل‌ها به ترتیب گام.
table-model_layers = صفرهای هر لایه: { $model }.
table-glossary = واژه‌های این گزارش به هر دو زبان.
picture-photographs = نخستین تصویرهای آموزشی هر رده.
picture-samples = نخستین تصویرهای آموزشی هر رده که تیره روی سفید نمایش داده شده‌اند.
picture-quantizer = مقدار $x$ پس از گذر از `linear_quantize` و `linear_dequantize`، با بازهٔ {"\u2066"}−۱{"\u2069"} تا ۱ و با ۲، ۴ و ۸ بیت. خط‌چین: $\hat x=x$.
picture-training = آموزش مدل پایه در { $epochs } دور. منحنی‌های آموزش میانگین‌های جاری در طول دورند.
picture-confusion = ماتریس درهم‌ریختگی مدل پایه روی آزمون. پررنگی: سهم از ردهٔ درست.
picture-curve_one_shot = هرس یک‌باره: دقت اعتبارسنجی در برابر تُنُکی. هر گام یکسان روی محور، آنچه را می‌ماند نصف می‌کند.
picture-curve_step_by_step = هرس گام‌به‌گام: دقت اعتبارسنجی پس از بازآموزی در برابر تُنُکی.
picture-curve_comparison = هر دو شیوهٔ هرس: دقت اعتبارسنجی در برابر تُنُکی.
picture-curve_channels = هرس کانال: دقت اعتبارسنجی در برابر سهم کانال‌های حذف‌شده.
picture-layers = تُنُکی هر لایه در پایان هر دو جست‌وجو.
picture-controls = دقت آزمون با بازهٔ ۹۵ درصدی؛ مربع‌ها آزمایش شاهدند.
picture-widest = آموزش با { $bits } بیت: زیان و دقت در هر دور. زیان آموزش، هر جا تقطیر به کار رفته، جملهٔ تقطیر را نیز در بر دارد.
picture-width_training = زیان و دقت اعتبارسنجی هنگام آموزش با هر تعداد بیت.
picture-widths = دقت آزمون با بازهٔ ۹۵ درصدی و بایت‌های فایل فشرده، برای هر تعداد بیت.
picture-ledger = مدل نهایی با همهٔ معیارها.
picture-front = نامزدهای فشرده‌سازی: بایت‌های فایل در برابر دقت اعتبارسنجی.
picture-ablation = سهم هر شگرد، افزون بر آنچه بالای آن است: آنچه از بایت‌ها می‌ماند و در کنارش افت اعتبارسنجی تا آنجا.
picture-final_confusion = ماتریس درهم‌ریختگی مدل نهایی روی آزمون.
picture-overview = همهٔ مدل‌ها: بایت‌های روی دیسک و دقت آزمون با بازهٔ ۹۵ درصدی. ستاره مدل نهایی است.

## Axes and legends

train = آموزش
validation = اعتبارسنجی
epoch = دور
loss = زیان
cross_entropy_nats = آنتروپی متقاطع (نات)
accuracy_percent = دقت (٪)
validation_accuracy_percent = دقت اعتبارسنجی (٪)
test_accuracy_percent = دقت آزمون (٪)
test_accuracy_interval = دقت آزمون (٪) با بازهٔ ۹۵٪؛ خط‌چین: مدل پایه
validation_loss_nats = زیان اعتبارسنجی (نات)
float_model = float32
predicted_class = ردهٔ پیش‌بینی‌شده
true_class = ردهٔ درست
share_of_true_class = سهم از ردهٔ درست (٪)
axis-sparsity = تُنُکی (٪)
axis-sparsity_stretched = تُنُکی (٪)، محور کشیده
axis-channels = کانال‌های حذف‌شده (٪)
axis-channels_stretched = کانال‌های حذف‌شده (٪)، محور کشیده
axis-zeros = سهم صفرها از وزن‌ها (٪)
axis-layers = لایه، به ترتیب گذر پیش‌رو
whole_curve = کل منحنی
near_limit = نزدیک حد مجاز
candidates = نامزدها
front = جبهه: هیچ فایل کوچک‌تری بهتر نیست
file_kb = فایل (کیلوبایت)
file_kb_log = فایل (کیلوبایت)، لگاریتمی
kb_log = کیلوبایت (۱۰۲۴ بایت)، لگاریتمی
file_kb_saved = فایل (کیلوبایت)، لگاریتمی؛ هاشورخورده: صرفه‌جویی
validation_drop_points = افت (واحد درصد)
after_round_trip = $\hat x$

## Alternative texts

alt-photographs = برگه‌ای از تصویرهای کوچک رنگی، برای هر رده یک سطر.
alt-samples = برگه‌ای از تصویرهای خاکستری کوچک، هر رده در یک سطر.
alt-quantizer = سه پله‌نما در کنار خط نیمساز.
alt-training = دو نمودار خطی: زیان و دقت در هر دور.
alt-confusion = جدولی مربعی از شمارش‌ها که قطرش تیره است.
alt-curve_one_shot = دو نمودار خطی دقت در برابر تُنُکی.
alt-curve_step_by_step = دو نمودار خطی دقت در برابر تُنُکی.
alt-curve_comparison = دو نمودار با دو خط دقت در برابر تُنُکی.
alt-curve_channels = دو نمودار خطی دقت در برابر سهم کانال‌های حذف‌شده.
alt-layers = صفرهای هر لایه به تفکیک مدل: میله‌های افقی، یا برای لایه‌های پرشمار نقطه‌هایی روی خط.
alt-controls = نقطه‌هایی با بازهٔ خطا، هر مدل در یک سطر.
alt-widest = دو نمودار خطی: زیان و دقت در هر دور.
alt-width_training = دو نمودار خطی، برای هر تعداد بیت یک خط.
alt-widths = نقطه‌هایی با بازهٔ خطا و میله‌های کیلوبایت برای هر تعداد بیت.
alt-ledger = میله‌های افقی روی محور لگاریتمی، برای هر معیار یکی.
alt-front = نقطه‌ها و پلکانی از اندازهٔ فایل در برابر دقت.
alt-ablation = میله‌های افقی روی محور لگاریتمی، هر شگرد در یک سطر، و در کنارشان خط افت‌ها.
alt-final_confusion = جدولی مربعی از شمارش‌ها که قطرش تیره است.
alt-overview = نقطه‌هایی با بازهٔ خطا: اندازهٔ فایل در برابر دقت، برای هر مدل یکی.
