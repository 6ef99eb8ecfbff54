### Captions, and the words within pictures.

## Short texts in figures

figure-best_epoch = kept: epoch { $epoch }
figure-bits = { $bits } bit
figure-float_accuracy = float32: { $accuracy } %
figure-chosen = chosen: { $sparsity } %, drop { $drop }
figure-chosen_file = chosen: { $kilobytes } KB at { $accuracy } %
figure-dense = dense: { $accuracy } %
figure-limit = limit: { $drop } points below
figure-max_drop = limit: { $drop }
figure-size = { $kilobytes } KB   { $ratio }×
figure-threshold = lowest allowed: { $accuracy } %
figure-safe = with the reserve: { $accuracy } %
figure-floor = floor: { $accuracy } %

## Captions

table-split = Pictures of each class in each split.
table-weights = Weights of each layer.
table-architecture = The layers of { $architecture }, in the order of the forward pass.
table-training = How the baseline was trained.
table-quantization_example = Six values at { $bits } bits, symmetric: $s$ = { $scale }, $q$ from { $qmin } to { $qmax }. Computed by `linear_quantize` and `linear_dequantize`.
table-measures = The measures of the size ledger.
table-baseline = The trained network on both splits.
table-classes = Classification report of the baseline on test; accuracy { $accuracy } %.
table-final_classes = Classification report of the final model on test; accuracy { $accuracy } %.
table-confusions = The pairs of classes with the most mistakes, of { $errors } mistakes in all.
table-probes_one_shot = Every sparsity that the one-shot search tried; bold: the one it ended with.
table-probes_step_by_step = Every step of the step-by-step search; bold: the one it ended with.
table-check_sparsity = `check_sparsity` of the step-by-step model.
table-comparison = Both ways of pruning; drops in points. *Packed* counts non-zero weights and a mask.
table-controls = Claims (above) and controls (below).
table-channels = The network before and after channel pruning.
table-widest_training = Quantization-aware training at { $bits } bits, epoch by epoch.
table-widest_scores = Float32 and { $bits } bits on test; precision, recall and F1 averaged over the classes.
table-widths = All bit widths; drops in points, precision, recall and F1 averaged over the classes. Bold: the smallest file within the drop on validation.
table-formula = Size in KB by the formula: weights of each layer times bits.
table-ledger = The size ledger of every model, in KB.
table-final = The final model.
table-ablation = From the float32 checkpoint to the final file; accuracy and drop on validation. *Saved* is of the row above.
table-file_controls = The compressed file and its controls, each encoded and measured on its integers; drop in points.
table-all_models = Every model of the study; drops in points.
table-jobs = Jobs of the study.
table-settings = Resolved settings of each job.
table-environment = Surroundings and the study's settings.
table-artifacts = Artifacts by step.
table-model_layers = Zeros by layer: { $model }.
table-glossary = Words of this report in both languages.
picture-photographs = The first training pictures of each class.
picture-samples = The first training pictures of each class, shown dark on white.
picture-quantizer = $x$ after `linear_quantize` and `linear_dequantize`, with the range from −1 to 1, at 2, 4 and 8 bits. Dashed: $\hat x=x$.
picture-training = Training of the baseline over { PLURAL($epochs) ->
        [one] one epoch
       *[other] { $epochs } epochs
    }. The training curves are running means over the epoch.
picture-confusion = Confusion matrix of the baseline on test. Shade: share of the true class.
picture-curve_one_shot = One-shot pruning: validation accuracy against sparsity. Equal steps along the axis halve what is kept.
picture-curve_step_by_step = Step-by-step pruning: validation accuracy after retraining against sparsity.
picture-curve_comparison = Both ways of pruning: validation accuracy against sparsity.
picture-curve_channels = Channel pruning: validation accuracy against the share of channels removed.
picture-layers = Sparsity of each layer at the end of either search.
picture-controls = Test accuracy with 95 % intervals; squares are controls.
picture-widest = Training at { $bits } bits: loss and accuracy by epoch. The loss on train includes the distillation term where it was used.
picture-width_training = Validation loss and accuracy while training at each bit width.
picture-widths = Test accuracy with 95 % intervals, and bytes of the compressed file, by bit width.
picture-ledger = The final model by every measure.
picture-front = Candidates of the compression: bytes of the file against validation accuracy.
picture-ablation = What each technique bought, on top of those above it: what is left of the bytes, and beside it the drop on validation so far.
picture-final_confusion = Confusion matrix of the final model on test.
picture-overview = Every model: bytes on disk and test accuracy with 95 % intervals. The star is the final model.

## Axes and legends

train = train
validation = validation
epoch = epoch
loss = loss
cross_entropy_nats = cross-entropy (nats)
accuracy_percent = accuracy (%)
validation_accuracy_percent = validation accuracy (%)
test_accuracy_percent = test accuracy (%)
test_accuracy_interval = test accuracy (%) with its 95 % interval; dashed: baseline
validation_loss_nats = validation loss (nats)
float_model = float32
predicted_class = predicted class
true_class = true class
share_of_true_class = share of the true class (%)
axis-sparsity = sparsity (%)
axis-sparsity_stretched = sparsity (%), stretched
axis-channels = channels removed (%)
axis-channels_stretched = channels removed (%), stretched
axis-zeros = zeros among the weights (%)
axis-layers = layer, in the order of the forward pass
whole_curve = The whole curve
near_limit = Near the limit
candidates = candidates
front = front: none smaller is better
file_kb = file (KB)
file_kb_log = file (KB), logarithmic
kb_log = KB (1 KB = 1024 bytes), logarithmic
file_kb_saved = file (KB), logarithmic; hatched: saved
validation_drop_points = drop (points)
after_round_trip = $\hat x$

## Alternative texts

alt-photographs = A sheet of small coloured pictures, one row per class.
alt-samples = A sheet of small grey pictures, one row per class.
alt-quantizer = Three staircases beside the diagonal.
alt-training = Two line charts: loss and accuracy by epoch.
alt-confusion = A square grid of counts, dark on its diagonal.
alt-curve_one_shot = Two line charts of accuracy against sparsity.
alt-curve_step_by_step = Two line charts of accuracy against sparsity.
alt-curve_comparison = Two charts with two lines of accuracy against sparsity.
alt-curve_channels = Two line charts of accuracy against the share of channels removed.
alt-layers = The zeros of each layer by model: horizontal bars, or points on lines where there are many layers.
alt-controls = Dots with error bars, one line per model.
alt-widest = Two line charts: loss and accuracy by epoch.
alt-width_training = Two line charts with one line per bit width.
alt-widths = Dots with error bars, and bars of kilobytes, by bit width.
alt-ledger = Horizontal bars on a logarithmic axis, one per measure.
alt-front = Points and a staircase of file size against accuracy.
alt-ablation = Horizontal bars on a logarithmic axis, one per technique, and a line of drops beside them.
alt-final_confusion = A square grid of counts, dark on its diagonal.
alt-overview = Points with error bars: file size against accuracy, one per model.
