### Sentences of the analysis: one for each way that the numbers can turn out.

## Both accuracies, compared

compared = ({ $accuracy } % against { $other } %; difference { $difference } points, 95 % interval { $low } to { $high }; { $basis })

## Floor

floor-clear = With { $accuracy } % on test the network is above the floor of { $floor } % that was asked for, and so is its whole 95 % interval, { $low } to { $high } %.
floor-reached = With { $accuracy } % on test the network reaches the floor of { $floor } % that was asked for, although the 95 % interval, { $low } to { $high } %, also holds values below it.
floor-missed = With { $accuracy } % on test the network misses the floor of { $floor } % that was asked for; the 95 % interval, { $low } to { $high } %, does not rule out that its true accuracy reaches it.
floor-failed = With { $accuracy } % on test the network misses the floor of { $floor } % that was asked for, and the whole 95 % interval, { $low } to { $high } %, lies below it.

## Fit

fit-still_improving = Validation accuracy was best in the last of { $epochs } epochs, and distinguishably so ({ $accuracy } % against { $other } % in epoch { $earlier }, the best before it): the network was still improving when training ended.
fit-best_last = Validation accuracy was best in the last of { $epochs } epochs ({ $accuracy } % against { $other } % in epoch { $earlier }, the best before it), a lead that is not distinguishable: whether more epochs would have helped cannot be said.
fit-one_epoch = The network was trained for a single epoch: whether more would have helped cannot be said.
fit-peaked = Validation accuracy was best in epoch { $best } of { $epochs }; the later epochs brought nothing, and its weights were kept.
fit-gap_large = At that epoch the accuracy on train, { $train } %, is { $gap } points above the one on validation, { $validation } %: the network has learned a good part of its training pictures by heart.
fit-gap_medium = At that epoch the accuracy on train, { $train } %, is { $gap } points above the one on validation, { $validation } %: some overfitting, at a level that is usual for a network of this size.
fit-gap_small = At that epoch the accuracy on train, { $train } %, is only { $gap } points above the one on validation, { $validation } %: there is hardly any overfitting.
fit-gap_none = At that epoch the accuracy is the same on train and on validation, { $validation } %: nothing points to overfitting.
fit-gap_negative = At that epoch the accuracy on validation, { $validation } %, is { $gap } points above the running mean on train, { $train } %, which is counted in the course of the epoch: nothing points to overfitting.
fit-measured_again = The { $training } % were counted while training, in { $precision }; the stored network is measured in float32, which gives { $stored } % on validation.

## Widest

widest-measured_again = While it trained, quantized values were imitated in floating point, and its best epoch counted { $training } % on validation. The decoded file computes on the integers themselves and counts { $stored } %.

## Size

size-smaller = { $ratio } times smaller
size-larger = { $ratio } times larger

## Change

change-lost = a drop of { $points } points
change-gained = a gain of { $points } points

## Classes

classes-extremes = The network knows the class *{ $best }* best (F1 { $best_f1 }) and the class *{ $worst }* least (F1 { $worst_f1 }).
classes-alike = To three decimals the network knows all classes equally well (F1 { $f1 }).
classes-pair = *{ $one }* and *{ $other }* are confused most: { PLURAL($forth) ->
        [one] { $forth } picture of *{ $one }* was
       *[other] { $forth } pictures of *{ $one }* were
    } taken for *{ $other }* and { $back } the other way round, together { $total } of { $errors } mistakes ({ $share } %).
classes-pair_once = { classes-pair }
classes-two_pairs = Two pairs are confused most, equally often ({ $total } of { $errors } mistakes each): *{ $one }* and *{ $other }*, and *{ $second_one }* and *{ $second_other }*.
classes-many_pairs = { $pairs } pairs are confused most, equally often ({ $total } of { $errors } mistakes each), among them *{ $one }* and *{ $other }*, and *{ $second_one }* and *{ $second_other }*.
classes-one_error = A single picture of the test set was misclassified: one of *{ $one }* was taken for *{ $other }*.
classes-next_pairs = Next come *{ $one }* and *{ $other }* ({ $total }) and *{ $third_one }* and *{ $third_other }* ({ $third_total }).
classes-concentrated = Mistakes are concentrated: five of { $possible } possible pairs account for { $share } % of them.
classes-spread = Mistakes are spread out: the five worst of { $possible } possible pairs account for only { $share } % of them.
classes-few_pairs = All mistakes fall on { $pairs } of { $possible } possible pairs.
classes-no_errors = No picture of the test set was misclassified.
classes-weak_recall = For *{ $worst }* recall ({ $recall }) is below precision ({ $precision }): it loses more pictures to other classes ({ $lost }) than it attracts from them ({ $attracted }).
classes-weak_precision = For *{ $worst }* precision ({ $precision }) is below recall ({ $recall }): it attracts more pictures from other classes ({ $attracted }) than it loses to them ({ $lost }).
classes-weak_both = For *{ $worst }* precision ({ $precision }) and recall ({ $recall }) are about equal: it loses about as many pictures ({ $lost }) as it attracts ({ $attracted }).
classes-weak_equal = For *{ $worst }* precision ({ $precision }) and recall ({ $recall }) are equal: it loses exactly as many pictures as it attracts ({ $lost }).
classes-most_hurt = Against the baseline, compression cost the class *{ $worst }* most: its F1 fell from { $before } to { $after }.
classes-none_hurt = No class lost more than { $fall } of its F1 by compression.

## One shot

one_shot-found = Without any retraining, { $sparsity } % of the weights can be removed with { $drop } on validation (allowed: a drop of { $limit } points); the network then keeps one weight in { $fold }.
one_shot-beyond = At the sparsity asked for, { $sparsity } % (one weight in { $fold } is kept), validation shows { $drop }, more than the { $limit } points allowed.
one_shot-none = Not even the smallest sparsity that was tried stays within { $limit } points without retraining.
one_shot-next = The next sparsity tried, { $sparsity } %, already costs { $drop } points.
one_shot-ceiling = No higher sparsity was tried beyond the drop: the search ended at { $sparsity } %.

## Step by step

step_by_step-found = With retraining after each step, { $sparsity } % of the weights can be removed with { $drop } on validation (allowed: a drop of { $limit } points; { PLURAL($epochs) ->
        [one] one epoch
       *[other] { $epochs } epochs
    } of retraining in all); the network then keeps one weight in { $fold }.
step_by_step-beyond = At the sparsity asked for, { $sparsity } % (one weight in { $fold } is kept), validation shows { $drop } after { PLURAL($epochs) ->
        [one] one epoch
       *[other] { $epochs } epochs
    } of retraining, more than the { $limit } points allowed.
step_by_step-none = No step came back within { $limit } points by retraining.
step_by_step-next = The next sparsity tried, { $sparsity } %, costs { $drop } points even after retraining.
step_by_step-ceiling = Every step came back within the drop: { $sparsity } % is where the search ended, not where the network gives in.

## Test

test-within = On test the accuracy is { $accuracy } %, { $drop }: within the { $limit } points here too.
test-beyond = On test the accuracy is { $accuracy } %, { $drop }: more than the { $limit } points that validation promised.
test-only = On test the accuracy is { $accuracy } %, { $drop }: within the { $limit } points there, unlike on validation, which decides.
test-neither = On test the accuracy is { $accuracy } %, { $drop }: more than the { $limit } points here too.

## Compare

compare-sparser_step_by_step = Step-by-step pruning removes more: { $step_by_step } % of the weights against { $one_shot } % in one shot, so that it keeps { $factor } times fewer weights.
compare-sparser_one_shot = One-shot pruning removes more: { $one_shot } % of the weights against { $step_by_step } % step by step, so that it keeps { $factor } times fewer weights.
compare-equal_sparsity = Both ways end at practically the same sparsity: { $one_shot } % in one shot, { $step_by_step } % step by step.
compare-accuracy_step_by_step = Step-by-step pruning keeps more accuracy on test { compared }.
compare-accuracy_one_shot = One-shot pruning keeps more accuracy on test { compared }.
compare-accuracy_same = In accuracy the two are not distinguishable on this test set: { $accuracy } % step by step against { $other } % in one shot (difference { $difference } points, 95 % interval { $low } to { $high }; { $basis }).
compare-unpruned = One of the two ended without any zeros, so that there is no accuracy and no file of pruning to compare.
compare-packed_step_by_step = Packed with a mask, the step-by-step model takes { $step_by_step } KB and the one-shot model { $one_shot } KB: step by step compresses { $factor } times better.
compare-packed_one_shot = Packed with a mask, the one-shot model takes { $one_shot } KB and the step-by-step model { $step_by_step } KB: one-shot compresses { $factor } times better.
compare-packed_same = Packed with a mask, both take about the same: { $one_shot } KB in one shot, { $step_by_step } KB step by step.

## Layers

layers-one_shot = In one shot the layer { $most } gives most ({ $most_sparsity } % zeros) and { $least } least ({ $least_sparsity } %).
layers-step_by_step = Step by step the layer { $most } gives most ({ $most_sparsity } % zeros) and { $least } least ({ $least_sparsity } %).

## Files

files-pruned_unchanged = Zeros alone shrink no file: with { $sparsity } % of its weights at zero, the checkpoint takes { $file } KB beside the baseline's { $reference } KB. They pay only once they are packed ({ $packed } KB) or entropy-coded.
files-pruned_smaller = With { $sparsity } % of its weights at zero, the stored file takes { $file } KB beside the baseline's { $reference } KB; packed with a mask it would take { $packed } KB.

## Control unpruned

control_unpruned-higher = Against the same retraining without pruning, the step-by-step model is better { compared }.
control_unpruned-lower = Against the same retraining without pruning, pruning step by step costs accuracy { compared }.
control_unpruned-same = Against the same retraining without pruning, the step-by-step model is not distinguishable { compared }: a loss that is due to pruning cannot be shown on this test set.

## Control random

control_random-higher = At a sparsity of { $sparsity } % the choice of the weights matters: { $claim } by magnitude is better than by chance { compared }.
control_random-lower = At a sparsity of { $sparsity } % { $claim } by magnitude is worse than by chance { compared }; the score did not help here.
control_random-same = At a sparsity of { $sparsity } % { $claim } by magnitude is not distinguishable from removal by chance { compared }: that the choice of the weights matters cannot be shown on this test set.

## Control small dense

control_small_dense-higher = A small dense network of { $kilobytes } KB trained from scratch is worse than the compressed one { compared }: compressing a large network paid.
control_small_dense-lower = A small dense network of { $kilobytes } KB trained from scratch is better than the compressed one { compared }: here compressing the large network did not pay.
control_small_dense-same = A small dense network of { $kilobytes } KB trained from scratch is not distinguishable from the compressed one { compared }.
control_small_dense-larger = The two are not of one size, though: at { $kilobytes } KB the small network takes { $factor } times the { $compressed } KB of the compressed file.
control_small_dense-smaller = The two are not of one size, though: at { $kilobytes } KB the small network is { $factor } times smaller than the compressed file with its { $compressed } KB.

## File controls

file_control-higher = Against its control “{ $control }” ({ $kilobytes } KB beside { $compressed } KB) the compressed file is more accurate on test { compared }.
file_control-lower = Against its control “{ $control }” ({ $kilobytes } KB beside { $compressed } KB) the compressed file is less accurate on test { compared }.
file_control-same = From its control “{ $control }” ({ $kilobytes } KB beside { $compressed } KB) the compressed file is not distinguishable on test { compared }.
file_control-unsound = The control “{ $control }” is not sound: beside it anything looks good, and nothing is concluded from it.

## Controls

controls-moot = Step-by-step pruning ended with { $sparsity } % zeros: there is nothing that the same retraining without pruning, or random pruning, could be held against, and no comparison is drawn from them.
controls-absent = This study was run without controls. What retraining alone would have brought, and whether a small dense network would have done as well, cannot be said from it.

## Quantize

quantize-free = At { $bits } bits the test accuracy is { $accuracy } % ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }): not distinguishable from float32.
quantize-cost = At { $bits } bits the test accuracy is { $accuracy } % ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }): a real loss against float32.
quantize-gain = At { $bits } bits the test accuracy is { $accuracy } % ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }): distinguishably better than float32. Whether the training that goes along with it did this, no control of this study tells.
quantize-cliff = The largest loss is from { $wide } to { $narrow } bits: { $loss } points.
quantize-no_cliff = No step from one width to the next costs a distinguishable amount; all lie within { $spread } points.
quantize-best = The best compression within the allowed drop of { $limit } points comes at { $bits } bits: { $kilobytes } KB, { $ratio } than float32, with { $drop } on validation.
quantize-no_loss = The narrowest width without a distinguishable loss on test has { $bits } bits: { $kilobytes } KB, { $ratio } than float32 ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }).
quantize-no_loss_too = This is also the narrowest width, { $bits } bits, without a distinguishable loss on test.
quantize-all_lose = On test, every width loses distinguishably.
quantize-none = No bit width stays within { $limit } points on validation.

## Channels

channels-narrowed = With { $sparsity } % of the channels removed, the multiply-accumulates of a picture fall from { $before } to { $after }, by a factor of { $factor }.
channels-unchanged = Although { $sparsity } % of the channels were to be removed, the multiply-accumulates of a picture stayed at { $macs }.
channels-beyond = On validation it shows { $drop }, more than the { $limit } points allowed elsewhere: this share of the channels was asked for, not searched.
channels-none = No share of the channels could be removed within { $limit } points.
channels-lost = The test accuracy is then { $accuracy } %, { $drop } points below the baseline.
channels-gained = The test accuracy is then { $accuracy } %, { $drop } points above the baseline.
channels-equal = The test accuracy is then { $accuracy } %, the same as the baseline's.
channels-faster = It runs faster, too: a batch of { $batch } takes { $after } ms (median) instead of { $before } ms, { $factor } times faster.
channels-slower = Yet a batch of { $batch } takes { $after } ms (median) instead of { $before } ms, { $factor } times slower: on this machine less work did not mean less time.
channels-as_fast = Yet the time of a batch of { $batch } hardly changes: { $after } ms (median) instead of { $before } ms, a factor of { $factor }.

## Final

final-within = The compressed file takes { $kilobytes } KB, { $ratio } than the float32 checkpoint, and stays within the allowed { $limit } points: on validation it shows { $drop }.
final-beyond = The compressed file takes { $kilobytes } KB, { $ratio } than the float32 checkpoint, but on validation it shows { $drop }, more than the { $limit } points allowed.
final-same = On test it is not distinguishable from the baseline ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }).
final-lower = On test it is distinguishably worse than the baseline ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }).
final-higher = On test it is distinguishably better than the baseline ({ $difference } points, 95 % interval { $low } to { $high }; { $basis }).
final-calibrated_than_width_smaller = With training, quantization at its best width of { $bits } bits ends at { $kilobytes } KB: the file that went without training is { $factor } times smaller.
final-calibrated_than_width_larger = With training, quantization at its best width of { $bits } bits ends at { $kilobytes } KB and is { $factor } times smaller: compression ended with a file that went without training, and fell behind it.
final-calibrated_than_width_as_large = With training, quantization at its best width of { $bits } bits ends at practically the same { $kilobytes } KB as the file that went without training.
final-than_width_smaller = Quantization alone, at the best width of { $bits } bits, ends at { $kilobytes } KB: the combination is { $factor } times smaller.
final-than_width_larger = Quantization alone, at the best width of { $bits } bits, ends at { $kilobytes } KB and is { $factor } times smaller than the combination: here the combination did not pay.
final-than_width_as_large = Quantization alone, at the best width of { $bits } bits, ends at practically the same { $kilobytes } KB.

## Sizes

sizes-width_below = At { $bits } bits the formula gives { $formula } KB; the file, with everything else that it needs, takes { $file } KB, { $share } % less: entropy coding outweighs scales, biases and header.
sizes-width_above = At { $bits } bits the formula gives { $formula } KB; the file, with everything else that it needs, takes { $file } KB, { $share } % more: scales, biases and header outweigh what entropy coding saves.
sizes-final_below = For the final model the formula gives { $formula } KB, since it counts zeros like any other weight; the file takes { $file } KB, { $share } % less.
sizes-final_above = For the final model the formula gives { $formula } KB and the file takes { $file } KB, { $share } % more.

## Conclude

conclude-baseline = The trained network answers { $accuracy } % of the { $examples } test pictures correctly (95 % interval { $low } to { $high } %).
conclude-pruning = The highest sparsity found for a validation drop of at most { $limit } points is { $one_shot } % in one shot and { $step_by_step } % step by step with retraining.
conclude-width-lost = The smallest quantized file within { $limit } points on validation has { $bits } bits; it scores { $accuracy } % on test, { $drop } points below the baseline.
conclude-width-gained = The smallest quantized file within { $limit } points on validation has { $bits } bits; it scores { $accuracy } % on test, { $drop } points above the baseline.
conclude-width-equal = The smallest quantized file within { $limit } points on validation has { $bits } bits; it scores { $accuracy } % on test, as much as the baseline.
conclude-no_width = No bit width that was tried stays within { $limit } points.
conclude-final-lost = Pruning, quantization and entropy coding together give a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, { $drop } points below the baseline.
conclude-final-gained = Pruning, quantization and entropy coding together give a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, { $drop } points above the baseline.
conclude-final-equal = Pruning, quantization and entropy coding together give a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, as much as the baseline.
conclude-final-calibrated-lost = Of all its candidates, compression ended with the one that is calibrated to integers and neither pruned nor trained: a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, { $drop } points below the baseline.
conclude-final-calibrated-gained = Of all its candidates, compression ended with the one that is calibrated to integers and neither pruned nor trained: a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, { $drop } points above the baseline.
conclude-final-calibrated-equal = Of all its candidates, compression ended with the one that is calibrated to integers and neither pruned nor trained: a file of { $kilobytes } KB, { $ratio } than the float32 checkpoint, that scores { $accuracy } % on test, as much as the baseline.

## Not sound; a busy machine; what a comparison rests on

basis-paired = answered rightly by one alone: { $one } and { $other } pictures, McNemar's exact p = { $p_value }
basis-paired_tiny = answered rightly by one alone: { $one } and { $other } pictures, McNemar's exact p < { $p_value }
basis-not_recorded = not paired: the counts are taken as independent, since answers were not kept picture by picture
basis-other_pictures = not paired: the counts are taken as independent, since the pictures are not the same
health-one_class = Not sound: { $model } answers *{ $class }* to { $share } % of the validation pictures, whatever they show. Its size and its drop say nothing good of it.
health-chance = Not sound: { $model } is right on { $accuracy } % of the validation pictures, not distinguishably more often than whoever always answers the most frequent class ({ $largest } %). Its size and its drop say nothing good of it.
health-dead_layer = Not sound: nothing passes { $layers } of { $model }, where the output is the same for every picture.
health-dead_layers = Not sound: nothing passes { $number } layers of { $model }, the first of which are { $layers }: the output there is the same for every picture.
health-not_finite = Not sound: { $model } answers numbers that are not finite to { PLURAL($pictures) ->
        [one] one picture
       *[other] { $pictures } pictures
    }.
channels-busy = While these times were taken, others kept { $cores } cores of the machine busy. Both networks took turns, so that the factor holds; the milliseconds themselves may be too many.
channels-jostled = While these times were taken, the process did not have a core of its own. Both networks took turns, so that the factor holds; the milliseconds themselves may be too many.

## The reserve that compression keeps

protocol-reserve = Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression chooses the smallest of its candidates, it keeps { $share } % of the allowed drop in reserve, so that at most { $safe } points are accepted, and { $rounded_share } % for files that are rounded for fewer bits after training (at most { $rounded } points): the smallest of several tends to be one that was lucky on validation. Only where no candidate is that good, or the smallest that is would be several times as large, the smallest within the whole drop is taken.
final-reserve = A smaller candidate of { $kilobytes } KB was within the allowed { $limit } points as well, with a validation drop of { $drop } points. It was not taken: for a file of its kind { $share } % of the drop is a reserve, which leaves { $safe } points.
protocol-bound = Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression chooses the smallest of its candidates, it asks for a reserve, counted in pictures: that the drop on pictures that nobody has seen stay within { $limit } points too, with a one-sided confidence of { $confidence } %. What bounds it are the validation pictures that only the baseline answers rightly and those that only the candidate does (Tango, 1998); that the smallest of several was chosen, which tends to be one that was lucky on validation, is not in the bound. Only where no candidate is that good, or the smallest that is would be several times as large, the smallest within the drop on validation is taken.
protocol-undecidable = Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression chooses the smallest of its candidates, it would ask for a reserve as well: that the drop on pictures that nobody has seen stay within { $limit } points, with a one-sided confidence of { $confidence } %. The { $pictures } validation pictures of this study are too few to tell that of any file (of one that answers all of them as the baseline does, the bound is { $smallest } points), so that no reserve was asked for and the smallest within the drop on validation was taken.
final-bound_kept = It keeps the reserve that was asked for: with { $confidence } % confidence, one-sided, its drop on pictures that nobody has seen is at most { $bound } points (of { $pictures } validation pictures, the baseline alone answers { $lost } rightly, and the file alone { $gained }).
final-bound_missed = No candidate keeps the reserve that was asked for: with { $confidence } % confidence, one-sided, nothing better than { $bound } points can be said of its drop on pictures that nobody has seen, and that it stays within { $limit } with { $reached } % alone.
final-bound_forgone = It is without the reserve that was asked for, since the smallest candidate that keeps it, of { $kilobytes } KB, is { $factor } times as large: with { $confidence } % confidence, one-sided, its drop on pictures that nobody has seen is at most { $bound } points, and that it stays within { $limit } can be said with { $reached } % alone.
final-bound_undecidable = Whether its drop on pictures that nobody has seen stays within { $limit } points, { $pictures } validation pictures are too few to tell: with { $confidence } % confidence, one-sided, it is at most { $bound } points.
final-bound_not_taken = A smaller candidate of { $kilobytes } KB was within the allowed { $limit } points on validation as well, with { $drop }. It was not taken: on pictures that nobody has seen its drop may be up to { $bound } points.

## Trainings that did not go as asked

training-gentler = Training { $stage } of the step *{ $step }* began anew at a learning rate of { $kept } instead of { $rate }, at which { $reason }.
training-no_better = Training { $stage } of the step *{ $step }* is kept as it went at a learning rate of { $rate }, although { $reason } there: what was tried instead was no better.
training-as_it_went = Training { $stage } of the step *{ $step }* is kept as it went at a learning rate of { $rate }, although { $reason } there.
training-start_kept = Training { $stage } of the step *{ $step }* did not learn: at a learning rate of { $rate }, { $reason } (rates tried: { $rates }, the lowest { $lowest }). The weights that it began with are kept, { $start } % right on validation.
training-not_learned = Training { $stage } of the step *{ $step }* did not learn: at a learning rate of { $rate }, { $reason } (rates tried: { $rates }, the lowest { $lowest }). It went from { $start } to { $accuracy } % on validation, where the largest class alone makes { $chance } %.
trouble-loss_not_finite = the loss was not finite
trouble-forgot_what_it_knew = the network forgot most of what it knew
trouble-worse_than_start = the network ended worse than it began
trouble-at_chance = the network was not better than guessing the largest class
trouble-loss_above_guessing = the loss rose above that of guessing
