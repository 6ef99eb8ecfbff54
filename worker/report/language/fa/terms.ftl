### Words and headings.

## Words

subtitle = هرس، کوانتش و کدگذاری آنتروپی؛ با اندازه‌گیری دقت و بایت‌های روی دیسک
contents = فهرست مطالب
source = منبع
list-more = { $words }، { $last }
list-last = { $words } و { $last }
yes = بله
no = خیر
total = مجموع
macro_avg = میانگین رده‌ها
weighted_avg = میانگین وزن‌دار
reference-tab = جدول
reference-fig = شکل
reference-sec = بخش
reference-app = پیوست
dataset-fashion_mnist = FashionMNIST
dataset-digits = رقم‌های دست‌نویس
dataset-mnist = MNIST
dataset-kmnist = Kuzushiji-MNIST
dataset-emnist = EMNIST
dataset-qmnist = QMNIST
dataset-usps = USPS
dataset-cifar10 = CIFAR-10
dataset-cifar100 = CIFAR-100
dataset-stl10 = STL-10
dataset-gtsrb = تابلوهای راهنمایی آلمان
dataset-eurosat = EuroSAT
dataset-imagenette = Imagenette
kind-fashion_cnn = یک شبکهٔ پیچشی
kind-lenet5 = یک شبکهٔ پیچشی
kind-depthwise_cnn = یک شبکهٔ پیچشی
kind-resnet_small = یک شبکهٔ پیچشی
kind-mlp = یک پرسپترون چندلایه
kind-other = یک شبکه

## Facts below the title

fact-study = مطالعه
fact-network = شبکه
fact-baseline = شبکهٔ آموزش‌دیده
fact-compressed = فایل فشرده
fact-effort = میزان تلاش

## Headings

section-abstract = چکیده
section-data = داده‌ها و شبکه
section-dataset = مجموعه‌داده
section-network = شبکه
section-training = آموزش
section-method = روش
section-protocol = شیوهٔ ارزیابی: کدام بخش تصمیم می‌گیرد و کدام فقط گزارش می‌شود
section-apply_pruning = هرس وزن‌ها: `apply_pruning` و `check_sparsity`
section-searches = دو جست‌وجو برای بیشترین تُنُکی
section-linear_quantize = کوانتش خطی: `linear_quantize` و `linear_dequantize`
section-qat = آموزش آگاه از کوانتش
section-channel_method = هرس کانال‌ها
section-size_method = اندازه: یک صورت کامل، نه یک عدد
section-control_method = آزمایش‌های شاهد
section-results = نتایج
section-training_results = شبکهٔ آموزش‌دیده
section-classes = رده‌ها و اشتباه‌ها
section-one_shot = هرس یک‌باره
section-step_by_step = هرس گام‌به‌گام با بازآموزی
section-comparison = مقایسهٔ هرس یک‌باره و گام‌به‌گام
section-controls = در کنار آزمایش‌های شاهد
section-widths = همهٔ تعداد بیت‌ها
section-channels = هرس کانال‌ها
section-sizes = اندازه‌ها
section-final = مدل نهایی
section-ablation = سهم هر شگرد
section-file_controls = فایل فشرده در کنار آزمایش‌های شاهدش
section-techniques = شگردهای دیگر
section-analysis = تحلیل
section-question_health = کدام مدل‌ها سالم نیستند؟
section-question_network = آیا شبکه به اندازهٔ کافی خوب است؟
section-question_classes = کدام رده‌ها با هم اشتباه گرفته می‌شوند؟
section-question_pruning = کدام شیوهٔ هرس بهتر است؟
section-question_controls = سهم هرس چقدر است و سهم آموزش چقدر؟
section-question_quantization = کدام تعداد بیت؟
section-question_channels = آیا شبکهٔ باریک‌تر سریع‌تر اجرا می‌شود؟
section-question_compression = آیا فشرده‌سازی ارزشش را داشت؟
section-conclusion = نتیجه‌گیری
section-appendix_jobs = کارها و تنظیم‌ها
section-appendix_environment = بذر، نسخه‌ها و سخت‌افزار
section-appendix_artifacts = فایل‌ها و SHA-256 آن‌ها
section-appendix_layers = صفرهای هر لایه
section-appendix_glossary = واژه‌نامه

## Heads of columns

head-class = رده
head-train = آموزش
head-validation = اعتبارسنجی
head-test = آزمون
head-layer = لایه
head-kind = نوع
head-shape = شکل وزن‌ها
head-parameters = پارامترها
head-macs = ضرب‌وجمع
head-weights = وزن‌ها
head-zeros = صفرها
head-nonzeros = ناصفرها
head-sparsity = تُنُکی (٪)
head-setting = تنظیم
head-settings = تنظیم‌ها
head-value = مقدار
head-what = عنوان
head-before = پیش از هرس
head-after = پس از هرس
head-measure = معیار
head-bytes_of = بایت‌های چه چیزی
head-split = بخش
head-right = درست
head-pictures = تصویرها
head-split_accuracy = دقت (٪)
head-accuracy = دقت آزمون (٪)
head-interval = بازهٔ ۹۵٪
head-loss = زیان
head-precision = صحت
head-recall = بازیابی
head-f1 = F1
head-first_class = ردهٔ الف
head-second_class = ردهٔ ب
head-forth = الف به‌جای ب
head-back = ب به‌جای الف
head-both = هر دو
head-share_of_errors = سهم از همهٔ اشتباه‌ها (٪)
head-validation_accuracy = دقت اعتبارسنجی (٪)
head-drop = افت (واحد درصد)
head-within = در حد مجاز
head-retrained = دورهای بازآموزی
head-model = مدل
head-drop_validation = افت، اعتبارسنجی
head-drop_test = افت، آزمون
head-packed = بسته‌بندی‌شده (کیلوبایت)
head-added = افزوده
head-kilobytes = کیلوبایت
head-saved = صرفه‌جویی (٪)
head-file = فایل (کیلوبایت)
head-ratio = نسبت (برابر)
head-quantity = کمیت
head-epoch = دور
head-train_loss = زیان آموزش
head-train_accuracy = دقت آموزش (٪)
head-validation_loss = زیان اعتبارسنجی
head-step = گام
head-job = شناسهٔ کار
head-seconds = ثانیه
head-reused = از پیش آماده
head-artifact = فایل
head-size_bytes = بایت
head-english = انگلیسی
head-persian = فارسی
head-meaning = معنا در این گزارش

## Rows

row-accuracy = دقت آزمون (٪)
row-weights = تعداد وزن‌ها
row-macs = ضرب‌وجمع برای هر تصویر
row-latency = میانهٔ زمان یک دسته (میلی‌ثانیه)
row-file = فایل (کیلوبایت)
row-file_bytes = فایل (بایت)
row-widths = پهنای لایه‌های پنهان
row-other_layers = { $layers } تای دیگر روی هم
row-ratio = نسبت به float32 (برابر)
row-model_id = شناسهٔ مدل
row-interval = بازهٔ اطمینان ۹۵٪ (٪)
row-drop_validation = افت روی اعتبارسنجی (واحد درصد)
row-drop_test = افت روی آزمون (واحد درصد)
row-macro = میانگین صحت / بازیابی / F1
row-sparsity = سهم صفرها از وزن‌ها (٪)
row-sha256 = SHA-256 فایل

## Models and steps

model-train = مدل پایه
model-one_shot = هرس یک‌باره
model-step_by_step = هرس گام‌به‌گام
model-channels = هرس کانال
model-compress = فایل فشرده
model-control_unpruned = شاهد: بازآموزی بدون هرس
model-control_random = شاهد: هرس تصادفی
model-control_small_dense = شاهد: شبکهٔ کوچک چگال
file_control-unpruned = همان شبکه، بدون هرس
file_control-random = به همان تُنُکی، هرس تصادفی
file_control-small_dense = شبکهٔ کوچک چگال
step-train = آموزش
step-one_shot = هرس یک‌باره
step-step_by_step = هرس گام‌به‌گام
step-quantize = کوانتش
step-channels = هرس کانال
step-compress = فشرده‌سازی
step-control_unpruned = شاهد: بدون هرس
step-control_random = شاهد: تصادفی
step-control_small_dense = شاهد: کوچک چگال
split-validation = اعتبارسنجی
split-test = آزمون

## Layers and settings

layer-Conv2d = پیچشی
layer-BatchNorm2d = نرمال‌سازی دسته‌ای
layer-Linear = خطی
optimizer-sgd = SGD با تکانهٔ نستروف
optimizer-adamw = AdamW
setting-optimizer = بهینه‌ساز
setting-learning_rate = بیشینهٔ نرخ یادگیری
setting-batch_size = اندازهٔ دسته
setting-epochs = دورهای خواسته‌شده
setting-best_epoch = دور نگه‌داشته‌شده (بهترین روی اعتبارسنجی)
setting-weight_decay = کاهش وزن
setting-label_smoothing = هموارسازی برچسب
setting-flip = آینه‌ای کردن تصویرهای آموزشی
setting-max_shift = جابه‌جایی تصویرهای آموزشی (پیکسل)
setting-patience = شکیبایی (دور)
setting-precision = قالب عددی هنگام آموزش
setting-num_train_examples = تصویرهای آموزشی
setting-seed = بذر تصادفی
setting-seconds = زمان (ثانیه)
environment-python = Python
environment-torch = PyTorch
environment-numpy = NumPy
environment-torchvision = torchvision
environment-constriction = constriction
environment-tonok = Tonok
environment-os = سیستم‌عامل
environment-processor = پردازنده
environment-cores = هسته‌ها
environment-threads = ریسه‌ها
environment-device = دستگاه محاسبه
environment-unrecorded = گام‌های نسخه‌ای پیشین که چیزی ثبت نکرده‌اند
environment-precision = قالب عددی هنگام آموزش

## The size ledger

measure-formula = فرمول
measure-float32 = float32
measure-packed = بسته‌بندی‌شده
measure-entropy = آنتروپی
measure-file = فایل
measure_text-formula = فقط تعداد وزن‌ها ضربدر تعداد بیت‌ها، از روی نورون‌های هر لایه
measure_text-float32 = فایل سادهٔ وزن‌های مدل پایه؛ همهٔ نسبت‌ها در برابر همین‌اند
measure_text-packed = عددهای صحیح با تعداد بیت خود، همراه مقیاس‌ها، نقطه‌های صفر، بایاس‌ها و نقاب یا نشانی صفرها
measure_text-entropy = کران مرتبهٔ صفر همان عددها؛ کدگذاری که هر بار تنها یک نماد را ببیند از این پایین‌تر نمی‌رود
measure_text-file = فایل ذخیره‌شده، همراه سرآیندش

## Classes

class-t_shirt_top = تی‌شرت
class-trouser = شلوار
class-pullover = پلیور
class-dress = پیراهن زنانه
class-coat = کت
class-sandal = صندل
class-shirt = پیراهن
class-sneaker = کفش ورزشی
class-bag = کیف
class-ankle_boot = نیم‌بوت

## Techniques, as tables and figures have them

label-nothing = وزن‌های float32
label-calibrated_quantization = { $bits } بیت، واسنجی‌شده
label-learned_step_sizes = آموزش { $bits } بیتی (LSQ)
label-channel_pruning = هرس کانال‌ها
label-weight_pruning = هرس تا { $sparsity } درصد (LAMP)
label-distillation = تقطیر دانش
label-trained_teacher = آموزش بیشتر آموزگار
label-shifted_pictures = تصویرهای جابه‌جاشده
label-plain_pictures = تصویرهای دست‌نخورده
label-rate_distortion_rounding = گرد کردن نرخ–اعوجاج
label-refitting = برازش دوبارهٔ مقیاس و بایاس
label-batch_norm_folding = ادغام نرمال‌سازی دسته‌ای
label-mantissa_rounding = مانتیس کوتاه
label-entropy_coding = کدگذاری آنتروپی
