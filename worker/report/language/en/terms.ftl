### Words and headings.

## Words

subtitle = Pruning, quantization and entropy coding, measured in accuracy and in bytes on disk
contents = Contents
source = Source
list-more = { $words }, { $last }
list-last = { $words } and { $last }
yes = yes
no = no
total = total
macro_avg = macro average
weighted_avg = weighted average
reference-tab = Table
reference-fig = Figure
reference-sec = Section
reference-app = Appendix
dataset-fashion_mnist = FashionMNIST
dataset-digits = handwritten digits
dataset-mnist = MNIST
dataset-kmnist = Kuzushiji-MNIST
dataset-emnist = EMNIST
dataset-qmnist = QMNIST
dataset-usps = USPS
dataset-cifar10 = CIFAR-10
dataset-cifar100 = CIFAR-100
dataset-stl10 = STL-10
dataset-gtsrb = German traffic signs
dataset-eurosat = EuroSAT
dataset-imagenette = Imagenette
kind-fashion_cnn = a convolutional network
kind-lenet5 = a convolutional network
kind-depthwise_cnn = a convolutional network
kind-resnet_small = a convolutional network
kind-mlp = a multilayer perceptron
kind-other = a network

## Facts below the title

fact-study = Study
fact-network = Network
fact-baseline = Trained network
fact-compressed = Compressed file
fact-effort = Effort

## Headings

section-abstract = Abstract
section-data = Data and network
section-dataset = The data set
section-network = The network
section-training = Training
section-method = Method
section-protocol = Protocol: who decides, who only watches
section-apply_pruning = Pruning weights: `apply_pruning` and `check_sparsity`
section-searches = Two searches for the highest sparsity
section-linear_quantize = Linear quantization: `linear_quantize` and `linear_dequantize`
section-qat = Quantization-aware training
section-channel_method = Pruning channels
section-size_method = Size: a ledger, never one number
section-control_method = Controls
section-results = Results
section-training_results = The trained network
section-classes = Classes and confusions
section-one_shot = One-shot pruning
section-step_by_step = Step-by-step pruning with retraining
section-comparison = One-shot and step-by-step compared
section-controls = Beside their controls
section-widths = All bit widths
section-channels = Channel pruning
section-sizes = Sizes
section-final = The final model
section-ablation = What each technique bought
section-file_controls = What the file is held against
section-techniques = Further techniques
section-analysis = Analysis
section-question_health = Which models are not sound?
section-question_network = Is the network good enough?
section-question_classes = Which classes are mistaken for which?
section-question_pruning = Which way of pruning is better?
section-question_controls = What is due to pruning, what to training alone?
section-question_quantization = Which bit width?
section-question_channels = Does a narrower network run faster?
section-question_compression = Did compression pay?
section-conclusion = Conclusion
section-appendix_jobs = Jobs and settings
section-appendix_environment = Seed, versions, hardware
section-appendix_artifacts = Artifacts and their SHA-256
section-appendix_layers = Zeros by layer
section-appendix_glossary = Glossary

## Heads of columns

head-class = class
head-train = train
head-validation = validation
head-test = test
head-layer = layer
head-kind = kind
head-shape = shape of weights
head-parameters = parameters
head-macs = MACs
head-weights = weights
head-zeros = zeros
head-nonzeros = non-zero
head-sparsity = sparsity (%)
head-setting = setting
head-settings = settings
head-value = value
head-what = what
head-before = before
head-after = after
head-measure = measure
head-bytes_of = bytes of
head-split = split
head-right = right
head-pictures = pictures
head-split_accuracy = accuracy (%)
head-accuracy = test accuracy (%)
head-interval = 95 % interval
head-loss = loss
head-precision = precision
head-recall = recall
head-f1 = F1
head-first_class = class A
head-second_class = class B
head-forth = A taken for B
head-back = B taken for A
head-both = both
head-share_of_errors = of all mistakes (%)
head-validation_accuracy = validation accuracy (%)
head-drop = drop (points)
head-within = within the drop
head-retrained = epochs retrained
head-model = model
head-drop_validation = drop, validation
head-drop_test = drop, test
head-packed = packed (KB)
head-added = added
head-kilobytes = KB
head-saved = saved (%)
head-file = file (KB)
head-ratio = ratio (×)
head-quantity = quantity
head-epoch = epoch
head-train_loss = loss, train
head-train_accuracy = accuracy, train (%)
head-validation_loss = loss, validation
head-step = step
head-job = job
head-seconds = seconds
head-reused = reused
head-artifact = artifact
head-size_bytes = bytes
head-english = English
head-persian = Persian
head-meaning = meaning here

## Rows

row-accuracy = test accuracy (%)
row-weights = weights
row-macs = multiply-accumulates per picture
row-latency = median time of a batch (ms)
row-file = file (KB)
row-file_bytes = file (bytes)
row-widths = hidden widths
row-other_layers = { $layers } others together
row-ratio = ratio to float32 (×)
row-model_id = model
row-interval = 95 % interval (%)
row-drop_validation = drop on validation (points)
row-drop_test = drop on test (points)
row-macro = macro precision / recall / F1
row-sparsity = zeros among the weights (%)
row-sha256 = SHA-256 of the file

## Models and steps

model-train = baseline
model-one_shot = one-shot
model-step_by_step = step-by-step
model-channels = channel pruning
model-compress = compressed file
model-control_unpruned = control: retrained, unpruned
model-control_random = control: random pruning
model-control_small_dense = control: small dense net
file_control-unpruned = the same network, not pruned
file_control-random = as sparse, pruned at random
file_control-small_dense = small dense network
step-train = training
step-one_shot = one-shot
step-step_by_step = step-by-step
step-quantize = quantization
step-channels = channels
step-compress = compression
step-control_unpruned = control: unpruned
step-control_random = control: random
step-control_small_dense = control: small dense
split-validation = validation
split-test = test

## Layers and settings

layer-Conv2d = convolution
layer-BatchNorm2d = batch norm
layer-Linear = linear
optimizer-sgd = SGD, Nesterov momentum
optimizer-adamw = AdamW
setting-optimizer = optimizer
setting-learning_rate = peak learning rate
setting-batch_size = batch size
setting-epochs = epochs asked for
setting-best_epoch = epoch kept (best on validation)
setting-weight_decay = weight decay
setting-label_smoothing = label smoothing
setting-flip = mirroring of training pictures
setting-max_shift = shift of training pictures (pixels)
setting-patience = patience (epochs)
setting-precision = precision while training
setting-num_train_examples = training pictures
setting-seed = seed
setting-seconds = time (s)
environment-python = Python
environment-torch = PyTorch
environment-numpy = NumPy
environment-torchvision = torchvision
environment-constriction = constriction
environment-tonok = Tonok
environment-os = operating system
environment-processor = processor
environment-cores = cores
environment-threads = threads
environment-device = device
environment-unrecorded = steps of an earlier version, which recorded nothing
environment-precision = precision while training

## The size ledger

measure-formula = formula
measure-float32 = float32
measure-packed = packed
measure-entropy = entropy
measure-file = file
measure_text-formula = weights × bits alone, from the neurons of each layer
measure_text-float32 = a plain checkpoint of the baseline: every ratio is against it
measure_text-packed = integers at their width, with scales, zero points, biases, and a mask or indices of the zeros
measure_text-entropy = the order-0 bound of the same integers: what no coder can beat that looks at one symbol at a time
measure_text-file = the stored file, header included

## Classes

class-t_shirt_top = T-shirt/top
class-trouser = Trouser
class-pullover = Pullover
class-dress = Dress
class-coat = Coat
class-sandal = Sandal
class-shirt = Shirt
class-sneaker = Sneaker
class-bag = Bag
class-ankle_boot = Ankle boot

## Techniques, as tables and figures have them

label-nothing = float32 checkpoint
label-calibrated_quantization = { $bits } bit, calibrated
label-learned_step_sizes = { $bits } bit training (LSQ)
label-channel_pruning = channel pruning
label-weight_pruning = pruned to { $sparsity } % (LAMP)
label-distillation = distillation
label-trained_teacher = teacher trained further
label-shifted_pictures = shifted pictures
label-plain_pictures = plain pictures
label-rate_distortion_rounding = rate-distortion rounding
label-refitting = scales and biases refitted
label-batch_norm_folding = batch norm folded
label-mantissa_rounding = short mantissas
label-entropy_coding = entropy coding
