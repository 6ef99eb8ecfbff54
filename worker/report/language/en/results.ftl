### What a report says around its findings.

## Title and facts

title = Compressing { $network } for { $dataset }
abstract-opening = This report documents one complete study: the network { $architecture } was trained on { $dataset }, pruned in one shot and step by step, quantized at several bit widths, narrowed, and finally compressed into one file. Every decision was made on a validation split; each model was then measured on a test set that decided nothing.
abstract-opening_fine_tuned = This report documents one complete study: the network { $architecture }, which was trained before, was fine-tuned on { $dataset }, pruned in one shot and step by step, quantized at several bit widths, narrowed, and finally compressed into one file. Every decision was made on a validation split; each model was then measured on a test set that decided nothing.
abstract-closing = All statements of this report are derived from the stored results; each table and figure names the job and the part of its result that it was made from.
fact-accuracy = { $accuracy } % on test
fact-final = { $kilobytes } KB, { $ratio }, { $accuracy } % on test
name-bits = { $bits } bit
heading-widest = Quantization to { $bits } bits, with training
see-figure_and_table = [[fig:{ $figure }]] shows it, [[tab:{ $table }]] gives the numbers.
see-figure = [[fig:{ $figure }]] shows it.

## Results

results-opening = Each table and figure names its source: a job of this study and the part of its result, such as { $example }. { "`GET /v1/jobs/{id}/result`" } answers the same numbers, and the report's JSON file holds them all.
controls-opening = [[tab:controls]] and [[fig:controls]] put each claim beside its control. Only differences whose interval leaves zero out are counted as differences.
ablation-opening = [[fig:ablation]] and [[tab:ablation]] walk from the float32 checkpoint to the final file. Each row adds to all rows above it, so that it says what a technique bought in this order; in another one it may buy more or less. Where the measure changes, from checkpoint to packed integers to an encoded file, the way of counting is part of what a row buys. Scales and biases are kept in full until the last row.
file_controls-opening = [[tab:file_controls]] puts the compressed file beside files that were made by the same teacher with as many epochs, spent in other ways: the narrowed network with all its weights; the same network as sparse as the file, its weights chosen by chance; and a small dense network of about the same bytes, trained from scratch for as long as narrowing and training on quantized values took, and then quantized as the others are. Where the compressed file is one that was quantized alone, they take the epochs of the plan.
widest-training = The baseline was calibrated and then trained on quantized values at { $bits } bits, weights and activations alike, over { PLURAL($epochs) ->
        [one] one epoch
       *[other] { $epochs } epochs
    }. [[fig:widest]] shows loss and accuracy while it trained; [[tab:widest_scores]] compares precision, recall and F1 of the decoded integers with those of the float32 network.
sizes-formula = [[tab:formula]] applies the formula of [[sec:size_method]] to the baseline's own layers; [[tab:ledger]] puts it beside what the stored files really take. The ratio of the ledger is the baseline's float32 checkpoint over the file.
final-download = The final model is stored and can be downloaded from the running service:
final-reload = The file is self-contained: architecture, normalisation, class names, scales and integers are within it, and no pickle is needed. Read back, it gives the very network that was measured:
techniques-opening = Beyond the functions that the assignment names, this study used the following techniques, as its jobs recorded them.
techniques-recorded = As recorded in { $field } of the compression job:
technique-distillation = **Knowledge distillation.** While retraining, the network is also taught to give the outputs of the dense one, softened by a temperature (Hinton et al., 2015). The soft outputs say how similar classes are to one another, which a label does not.
technique-trained_teacher = **A teacher trained further.** Before compressing, the dense network was trained further. As that made it more accurate on validation, it teaches in the baseline's place; drops are counted from the baseline as it was.
technique-shifted_pictures = **Shifted pictures.** While compressing, each training picture is shifted a little, every time anew, and the dense network is asked about the very picture that its student sees (Beyer et al., 2022). Of pictures that it knows by heart it would say hardly more than the label does.
technique-plain_pictures = **Plain pictures at the end.** The last stretch of the training sees the pictures as they are stored, neither shifted nor mirrored (He et al., 2019). A network of which little is left has no weights to spare for pictures that it will not be shown: mirrored ones it knows less well.
technique-learned_step_sizes = **Learned step sizes.** The scales of weights and activations are parameters with gradients of their own (LSQ, Esser et al., 2020). At few bits, where clipping and rounding must be traded against each other, this matters most.
technique-weight_pruning = **Gradual layer-adaptive pruning.** Weights are removed gradually while the quantized network trains. How much each layer gives is decided by LAMP (Lee et al., 2021): a weight's square over the sum of all squares in its layer that are at least as large.
technique-batch_norm_folding = **Batch-norm folding.** After training, each batch norm is folded into the scale and bias of the layer before it. The integers that training saw are the integers that are stored, and the batch norm costs neither bytes nor time.
technique-mantissa_rounding = **Short mantissas.** Scales and biases are rounded to a few mantissa bits. The error is far below a step of the integers, and in a file of a few kilobytes every byte shows.
technique-entropy_coding = **Context-modelled entropy coding.** The integers are stored by range coding with adaptive probabilities that depend on the neighbouring weights. Likely values, above all zeros, take a fraction of a bit.
technique-channel_pruning = **Channel pruning.** Whole channels are removed, so that the network is narrower before anything else is done to it.
technique-rate_distortion_rounding = **Rate-distortion-aware rounding.** Each weight is rounded to the value with the best trade of error against coded bits, not always to the nearest one.
technique-refitting = **Refitted scales and biases.** After rounding, the scale and bias of each output channel are fitted by least squares, so that every layer puts out what it did before.

## Analysis and end

analysis-opening = [[tab:all_models]] puts all models beside one another, as [[fig:overview]] does on the first page. The questions of the assignment follow, each answered from the numbers above.
limits-one_seed = These statements rest on one run with seed { $seed }; how much another seed would change them was not measured.
limits-test_set = With { $examples } test pictures the baseline's interval reaches about { $reach } points to either side, so that smaller differences between models are beyond this test set.
limits-no_controls = The study was run without controls: what is due to retraining alone cannot be told from it.
limits-quick = The effort was `quick`: longer training would be expected to change the compressed results most.
appendix-jobs = The study { $study } ran the following jobs. *Reused* marks a step whose job had been done before with the same settings; *seconds* counts from its first start to its end. Not listed are settings that were left empty, and those that touch no number: names, labels, attempts and time allowed.
appendix-environment = What the numbers were computed with, as each step recorded it; where steps differ, they are named. The study's own settings follow below the versions.
appendix-artifacts = Every stored file of the study's jobs except the logs. The hash identifies a file's bytes; the service answers it as the ETag of each download.
appendix-layers = Counted by `check_sparsity` on the stored models.
appendix-layers_shared = Of a network with many layers the largest have a row each, and the others one together. `GET /v1/models/{ "{model_id}" }/sparsity` lists them all.
