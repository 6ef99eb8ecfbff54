"""English prose that does not depend on how the numbers turned out: method, captions, appendices."""

from __future__ import annotations

SENTENCES = {
    "title": "Compressing <network> for <dataset>",
    "abstract.opening": (
        "This report documents one complete study: the network <architecture> was trained on <dataset>, pruned in one shot "
        "and step by step, quantized at several bit widths, narrowed, and finally compressed into one file. Every "
        "decision was made on a validation split; each model was then measured on a test set that decided nothing."
    ),
    "abstract.closing": (
        "All statements of this report are derived from the stored results; each table and figure names the job and the "
        "part of its result that it was made from."
    ),
    "fact.accuracy": "<accuracy> % on test",
    "fact.final": "<kilobytes> KB, <ratio>, <accuracy> % on test",
    "name.bits": "<bits> bit",
    "heading.widest": "Quantization to <bits> bits, with training",
    "see.figure_and_table": "[[fig:<figure>]] shows it, [[tab:<table>]] gives the numbers.",
    "see.figure": "[[fig:<figure>]] shows it.",
    # Data, network, training.
    "data.fashion_mnist": (
        "FashionMNIST (Xiao, Rasul and Vollgraf, 2017) holds 70,000 grey pictures of 28×28 pixels in ten classes of "
        "clothing, the same number in each. It is a drop-in replacement for MNIST that is noticeably harder: several "
        "classes (shirt, T-shirt, pullover, coat) differ in details of a few pixels."
    ),
    "data.digits": (
        "The data set is scikit-learn's bundled collection of 1,797 handwritten digits, resized to the input of the "
        "network. It is small: intervals are wide, and the results serve to try the method rather than to judge it."
    ),
    "data.split": (
        "The official training part is split once, stratified by class and seeded, into <train> pictures to train on and "
        "<validation> to decide on; the <test> test pictures are the official ones. A pixel $p$ enters the network "
        "as $(p/255-\\mu)/\\sigma$ with $\\mu$ = <mean> and $\\sigma$ = <std>."
    ),
    "data.split_own": (
        "The collection has no official test part: <test> pictures, stratified by class and the same in every study, are set "
        "aside for testing. The rest is split once, stratified by class and seeded, into <train> pictures to train on and "
        "<validation> to decide on. A pixel $p$ enters the network as $(p/255-\\mu)/\\sigma$ with $\\mu$ = <mean> and "
        "$\\sigma$ = <std>."
    ),
    "data.used": (
        "Of the <train> training pictures only <used> are used in this study; [[tab:split]] counts the whole split."
    ),
    "network.fashion_cnn": (
        "The network has two blocks of a 3×3 convolution, batch normalisation, 2×2 max-pooling and ReLU, followed by two "
        "linear layers. Pooling stands before ReLU: both are monotonic, so the result is the same, and ReLU sees a "
        "quarter of the values."
    ),
    "network.lenet5": (
        "The network follows LeNet-5 (LeCun et al., 1998): two convolutions with pooling and three linear layers."
    ),
    "network.size": (
        "Together these are <parameters> parameters; as a plain float32 checkpoint they take <kilobytes> KB on disk. One "
        "picture costs <macs> multiply-accumulates (MACs)."
    ),
    "training.method": (
        "The learning rate rises linearly over the first fifth of all steps and then falls linearly to zero. After every "
        "epoch the network is evaluated on validation, and the weights of the best epoch are the ones that are kept. The "
        "same seed, machine and number of threads give the same network, bit for bit."
    ),
    # Method.
    "method.opening": (
        "This chapter says how each number comes about; the results follow in [[sec:results]]. Formulas and the small "
        "worked examples are computed by the very functions that the study ran."
    ),
    "protocol.split": (
        "Every decision (which epoch to keep, how far to prune, which bit width to choose) is made on the validation "
        "split. The test set is measured at the end, for the report alone. Accuracy is counted, then divided: correct "
        "answers over pictures. The *accuracy drop* of a model is the difference to the trained baseline on the same split,"
    ),
    "protocol.drop": (
        "in percentage points, positive where accuracy was lost. A model is *within the drop* where $\\Delta$ is at most <limit> on "
        "validation. Each accuracy carries the 95 % interval of Wilson (1927) for $k$ right answers out of $n$:"
    ),
    "protocol.intervals": (
        "Models are asked about the same pictures, and which of them each answers rightly is kept. Two models are called "
        "different only where the exact test of McNemar (1947) says so at 5 %: of the pictures that one of the two alone "
        "answers rightly, $b$ and $c$, too many are one model's for chance. Otherwise the text says that they are not "
        "distinguishable on this test set. With $d = (b - c)/n$ the interval of the difference is "
        "$d \\pm 1.96\\,\\sqrt{b + c - (b - c)^2/n}\\,/\\,n$; where few pictures decide it is a little too narrow, and the test "
        "alone counts. Where answers were not kept picture by picture, as for the epochs of a training or jobs of earlier "
        "versions, the counts are taken as independent (Newcombe, 1998, method 10), which the text then says; such an "
        "interval is rather too wide."
    ),
    "apply_pruning.idea": (
        "`apply_pruning(model, method, sparsity)` sets the least important weights of all convolutions and linear layers to "
        "zero. The importance of a weight $w$ is its *score*; with magnitude pruning, used here, it is $\\left|w\\right|$. With the "
        "scope `global` the weights of all layers compete with one another, so that layers with many small weights lose "
        "more; biases and batch norms are left alone."
    ),
    "apply_pruning.steps": (
        "The function works in four steps. It scores every weight; weights that are zero already are ranked below all "
        "others, so that a pruned network can be pruned further. It keeps the $\\mathrm{round}((1-S)\\,N)$ weights with the "
        "largest scores, chosen by index rather than by a threshold: ties can then never remove more than was asked for. It "
        "multiplies each weight with its mask, and it returns the masks. While a network is retrained, the masks are "
        "applied again after each step of the optimizer, so that what is zero stays zero."
    ),
    "apply_pruning.example": (
        "Asked for a sparsity of <asked> %, the function kept the larger half of this matrix: the "
        "largest magnitude that was dropped is <threshold>. `check_sparsity` then counts <zeros> zeros among <weights> "
        "weights, which is <sparsity> %."
    ),
    "apply_pruning.check": (
        "`check_sparsity(model)` trusts no mask: it counts the weights that are exactly zero in each layer and in total. "
        "Every sparsity of this report comes from such a count."
    ),
    "searches.one_shot": (
        "**One-shot.** The dense network is pruned anew for each sparsity tried and never retrained: first at ten coarse "
        "sparsities from 10 to 95 %, which give the curve, then by bisection between the last sparsity within the drop and "
        "the first beyond it, until the highest sparsity with a drop of at most <limit> points is known to 0.2 %."
    ),
    "searches.step_by_step": (
        "**Step by step.** The network is pruned a little, retrained, measured, and pruned further from there, over up to "
        "<steps> planned steps. The search goes on until a step no longer comes back within the drop, and then tries once more "
        "half-way between the last two steps."
    ),
    "searches.geometric": (
        "The sparsities follow a geometric schedule: each step keeps the same fraction of what is left, so that the steps "
        "become smaller where the network has less to give."
    ),
    "searches.distillation": (
        "Retraining uses knowledge distillation: besides the labels, the outputs of the dense baseline are a target "
        "(weight 0.7, temperature 2). The one-shot search does not retrain and therefore uses none."
    ),
    "linear_quantize.idea": (
        "`linear_quantize(x, scale, zero_point, bit_width, signed)` maps real values to integers of $b$ bits; "
        "`linear_dequantize(q, scale, zero_point)` maps them back. With the scale $s$ and the zero point $z$,"
    ),
    "linear_quantize.range": (
        "where $\\lfloor\\cdot\\rceil$ rounds to the nearest integer, halves to even. Signed integers span "
        "$q_{\\min}=-2^{b-1}$ to $q_{\\max}=2^{b-1}-1$, unsigned ones $0$ to $2^b-1$. Weights are mapped symmetrically, values "
        "with a one-sided range affinely:"
    ),
    "linear_quantize.error": (
        "Inside the range a value comes back with an error of at most $s/2$; outside it is clamped. Zero is always exact, "
        "so that pruned weights stay pruned. [[tab:quantization_example]] follows six values through both functions, and "
        "[[fig:quantizer]] shows what is left of the diagonal at 2, 4 and 8 bits."
    ),
    "qat.idea": (
        "Rounding a trained network costs accuracy where levels are few. Quantization-aware training lets the network adapt: "
        "the forward pass computes with quantized weights and activations. Rounding has no useful "
        "derivative; the straight-through estimator passes the gradient on as if there were none, and the step size $s$ is "
        "learned like any other parameter (LSQ, Esser et al., 2020):"
    ),
    "qat.steps": (
        "Step sizes begin where they minimise the squared error on a calibration batch. Weights have one scale per output "
        "channel, activations one per layer. First and last layer follow the same width as all others; only the input "
        "picture keeps the 8 bits that it has by nature."
    ),
    "qat.integers": (
        "The accuracy of a quantized model is not measured on the weights that were trained, but on the file: it is decoded "
        "from disk, and the forward pass computes on the stored integers, with exact sums."
    ),
    "channel_method.idea": (
        "Zeros among the weights save bytes but not, on common hardware, time. Removing whole channels makes the layers "
        "really narrower: weights, multiply-accumulates and latency fall together. The library `torch-pruning` follows the "
        "dependencies, so that every layer that reads a removed channel loses it too. The classifier's outputs are the "
        "classes and stay."
    ),
    "size_method.formula": (
        "The first measure follows from the neurons of each layer and the bit width alone. Layer $\\ell$ has "
        "$n_\\ell^{\\mathrm{in}}$ inputs and $n_\\ell^{\\mathrm{out}}$ outputs, $k_\\ell$ is the side of its kernel (1 for a "
        "linear layer), $g_\\ell$ the number of groups that its channels are split into (1 unless the convolution is grouped; "
        "each output then reads the inputs of its own group alone), and $b_\\ell$ its bit width:"
    ),
    "size_method.ledger": (
        "This counts weights only: no scales, no biases, no positions of the zeros. A file needs all of these, and a coder may "
        "need less than $b$ bits for a weight. No single number is honest, so each model carries a ledger "
        "([[tab:measures]]). Throughout, 1 KB is 1024 bytes."
    ),
    "control_method.idea": (
        "A gain may come from the training that goes along with a method rather than from the method. Up to three controls tell them "
        "apart: the same retraining without any pruning; random instead of magnitude pruning at the same sparsity; and a small "
        "dense network, trained from scratch, whose file is as near to the compressed one's bytes as its layers allow."
    ),
    # Results.
    "results.opening": (
        "Each table and figure names its source: a job of this study and the part of its result, such as <example>. "
        "`GET /v1/jobs/{id}/result` answers the same numbers, and the report's JSON file holds them all."
    ),
    "controls.opening": (
        "[[tab:controls]] and [[fig:controls]] put each claim beside its control. Only differences whose interval leaves zero "
        "out are counted as differences."
    ),
    "widest.training": (
        "The baseline was calibrated and then trained on quantized values at <bits> bits, weights and activations alike "
        "(epochs: <epochs>). [[fig:widest]] shows loss and accuracy while it trained; [[tab:widest_scores]] compares precision, "
        "recall and F1 of the decoded integers with those of the float32 network."
    ),
    "sizes.formula": (
        "[[tab:formula]] applies the formula of [[sec:size_method]] to the baseline's own layers; [[tab:ledger]] puts it beside "
        "what the stored files really take. The ratio of the ledger is the baseline's float32 checkpoint over the file."
    ),
    "final.download": "The final model is stored and can be downloaded from the running service:",
    "final.reload": (
        "The file is self-contained: architecture, normalisation, class names, scales and integers are within it, and no pickle "
        "is needed. Read back, it gives the very network that was measured:"
    ),
    "techniques.opening": (
        "Beyond the functions that the assignment names, this study used the following techniques, as its jobs recorded them."
    ),
    "techniques.recorded": "As recorded in <field> of the compression job:",
    "technique.distillation": (
        "While retraining, the network is also taught to give the outputs of the dense one, softened by a temperature "
        "(Hinton et al., 2015). The soft outputs say how similar classes are to one another, which a label does not."
    ),
    "technique.better_teacher": (
        "Before compressing, the dense network was trained further. As that made it more accurate on validation, it teaches in "
        "the baseline's place; drops are counted from the baseline as it was."
    ),
    "technique.shifted_pictures": (
        "While compressing, each training picture is shifted a little, every time anew, and the dense network is asked about the "
        "very picture that its student sees (Beyer et al., 2022). Of pictures that it knows by heart it would say hardly more than "
        "the label does."
    ),
    "technique.plain_pictures": (
        "The last stretch of the training sees the pictures as they are stored, neither shifted nor mirrored (He et al., 2019). A "
        "network of which little is left has no weights to spare for pictures that it will not be shown: mirrored ones it knows "
        "less well."
    ),
    "technique.learned_steps": (
        "The scales of weights and activations are parameters with gradients of their own (LSQ, Esser et al., 2020). At few "
        "bits, where clipping and rounding must be traded against each other, this matters most."
    ),
    "technique.gradual_lamp": (
        "Weights are removed gradually while the quantized network trains. How much each layer gives is decided by LAMP (Lee "
        "et al., 2021): a weight's square over the sum of all squares in its layer that are at least as large."
    ),
    "technique.gradual_erk": (
        "A layer's density follows the sum of its dimensions over their product (Evci et al., 2020), so that small layers are "
        "spared."
    ),
    "technique.batch_norm_folding": (
        "After training, each batch norm is folded into the scale and bias of the layer before it. The integers that training "
        "saw are the integers that are stored, and the batch norm costs neither bytes nor time."
    ),
    "technique.short_mantissas": (
        "Scales and biases are rounded to a few mantissa bits. The error is far below a step of the integers, and in a file of "
        "a few kilobytes every byte shows."
    ),
    "technique.entropy_coding": (
        "The integers are stored by range coding with adaptive probabilities that depend on the neighbouring weights. "
        "Likely values, above all zeros, take a fraction of a bit."
    ),
    "technique.channel_pruning": "Whole channels are removed, so that the network is narrower before anything else is done to it.",
    "technique.mixed_widths": "Layers have different bit widths: those that bear less keep more bits.",
    "technique.clustering": "Weights share a small set of values, so that only an index is stored for each.",
    "technique.rate_distortion": (
        "Each weight is rounded to the value with the best trade of error against coded bits, not always to the nearest one."
    ),
    "technique.refitting": (
        "After rounding, the scale and bias of each output channel are fitted by least squares, so that every layer puts out what it did before."
    ),
    "technique.averaging": "The weights of several moments of the training are averaged, which lands in flatter minima.",
    # Analysis and end.
    "analysis.opening": (
        "[[tab:all_models]] puts all models beside one another, as [[fig:overview]] does on the first page. The questions of the assignment follow, "
        "each answered from the numbers above."
    ),
    "limits.one_seed": (
        "These statements rest on one run with seed <seed>; how much another seed would change them was not measured."
    ),
    "limits.test_set": (
        "With <examples> test pictures the baseline's interval reaches about <reach> points to either side, so that smaller "
        "differences between models are beyond this test set."
    ),
    "limits.no_controls": "The study was run without controls: what is due to retraining alone cannot be told from it.",
    "limits.quick": "The effort was `quick`: longer training would be expected to change the compressed results most.",
    "appendix.jobs": (
        "The study <study> ran the following jobs. *Reused* marks a step whose job had been done before with the same "
        "settings; *seconds* counts from its first start to its end. Not "
        "listed are settings that were left empty, and those that touch no number: names, labels, attempts and time allowed."
    ),
    "appendix.environment": (
        "What the numbers were computed with, as each step recorded it; where steps differ, they are named. The study's own "
        "settings follow below the versions."
    ),
    "appendix.artifacts": (
        "Every stored file of the study's jobs except the logs. The hash identifies a file's bytes; the service answers it as "
        "the ETag of each download."
    ),
    "appendix.layers": "Counted by `check_sparsity` on the stored models.",
    # Short texts in figures.
    "figure.best_epoch": "kept: epoch <epoch>",
    "figure.bits": "<bits> bit",
    "figure.float_accuracy": "float32: <accuracy> %",
    "figure.chosen": "chosen: <sparsity> %, drop <drop>",
    "figure.dense": "dense: <accuracy> %",
    "figure.limit": "limit: <drop> points below",
    "figure.size": "<kilobytes> KB   <ratio>×",
    "figure.threshold": "lowest allowed: <accuracy> %",
    "figure.safe": "with the reserve: <accuracy> %",
    "figure.floor": "floor: <accuracy> %",
    # Captions.
    "table.split": "Pictures of each class in each split.",
    "table.weights": "Weights of each layer.",
    "table.architecture": "The layers of <architecture>, in the order of the forward pass.",
    "table.training": "How the baseline was trained.",
    "table.quantization_example": (
        "Six values at <bits> bits, symmetric: $s$ = <scale>, $q$ from <qmin> to <qmax>. Computed by `linear_quantize` and "
        "`linear_dequantize`."
    ),
    "table.measures": "The measures of the size ledger.",
    "table.baseline": "The trained network on both splits.",
    "table.classes": "Classification report of the baseline on test; accuracy <accuracy> %.",
    "table.final_classes": "Classification report of the final model on test; accuracy <accuracy> %.",
    "table.confusions": "The pairs of classes with the most mistakes, of <errors> mistakes in all.",
    "table.probes_one_shot": "Every sparsity that the one-shot search tried; bold: the one it ended with.",
    "table.probes_step_by_step": "Every step of the step-by-step search; bold: the one it ended with.",
    "table.check_sparsity": "`check_sparsity` of the step-by-step model.",
    "table.comparison": "Both ways of pruning; drops in points. *Packed* counts non-zero weights and a mask.",
    "table.controls": "Claims (above) and controls (below).",
    "table.channels": "The network before and after channel pruning.",
    "table.widest_training": "Quantization-aware training at <bits> bits, epoch by epoch.",
    "table.widest_scores": "Float32 and <bits> bits on test; precision, recall and F1 averaged over the classes.",
    "table.widths": "All bit widths; drops in points, precision, recall and F1 averaged over the classes. Bold: the smallest file within the drop on validation.",
    "table.formula": "Size in KB by the formula: weights of each layer times bits.",
    "table.ledger": "The size ledger of every model, in KB.",
    "table.final": "The final model.",
    "table.all_models": "Every model of the study; drops in points.",
    "table.jobs": "Jobs of the study.",
    "table.settings": "Resolved settings of each job.",
    "table.environment": "Surroundings and the study's settings.",
    "table.artifacts": "Artifacts by step.",
    "table.model_layers": "Zeros by layer: <model>.",
    "table.glossary": "Words of this report in both languages.",
    "picture.samples": "The first training pictures of each class, shown dark on white.",
    "picture.quantizer": "$x$ after `linear_quantize` and `linear_dequantize`, with the range from −1 to 1, at 2, 4 and 8 bits. Dashed: $\\hat x=x$.",
    "picture.training": "Training of the baseline over <epochs> epochs. The training curves are running means over the epoch.",
    "picture.confusion": "Confusion matrix of the baseline on test. Shade: share of the true class.",
    "picture.curve_one_shot": "One-shot pruning: validation accuracy against sparsity. Equal steps along the axis halve what is kept.",
    "picture.curve_step_by_step": "Step-by-step pruning: validation accuracy after retraining against sparsity.",
    "picture.curve_comparison": "Both ways of pruning: validation accuracy against sparsity.",
    "picture.curve_channels": "Channel pruning: validation accuracy against the share of channels removed.",
    "picture.layers": "Sparsity of each layer at the end of either search.",
    "picture.controls": "Test accuracy with 95 % intervals; squares are controls.",
    "picture.widest": "Training at <bits> bits: loss and accuracy by epoch. The loss on train includes the distillation term where it was used.",
    "picture.width_training": "Validation loss and accuracy while training at each bit width.",
    "picture.widths": "Test accuracy with 95 % intervals, and bytes of the compressed file, by bit width.",
    "picture.ledger": "The final model by every measure.",
    "picture.front": "Candidates of the compression: bytes of the file against validation accuracy.",
    "picture.final_confusion": "Confusion matrix of the final model on test.",
    "picture.overview": "Every model: bytes on disk and test accuracy with 95 % intervals. The star is the final model.",
}
