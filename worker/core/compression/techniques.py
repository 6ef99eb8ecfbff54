"""What a chosen file came about by, and each network on the way to it, as techniques with their numbers."""

from __future__ import annotations

from worker.checkpoint_facts import describe_facts
from worker.core.compression.candidates import MANTISSA_BITS
from worker.core.compression.derivation import Derivation
from worker.core.compression.plain import PlainFile
from worker.core.compression.qat import CALIBRATED_BIT_WIDTH
from worker.core.compression.task import CompressionTask
from worker.core.compression.teacher import Teacher
from worker.core.models import get_widths
from worker.core.models.build import get_record
from worker.network.layers import count_outputs, find_fixed_layers, has_batch_norm
from worker.network.record import Network
from worker.techniques import AppliedTechnique, Technique

NOTHING = AppliedTechnique(technique=Technique.NOTHING)
CALIBRATED = AppliedTechnique(technique=Technique.CALIBRATED_QUANTIZATION, bit_width=CALIBRATED_BIT_WIDTH)
DISTILLED = AppliedTechnique(technique=Technique.DISTILLATION)
REFITTED = AppliedTechnique(technique=Technique.REFITTING)
MANTISSAS = AppliedTechnique(technique=Technique.MANTISSA_ROUNDING, mantissa_bits=MANTISSA_BITS)
CODED = AppliedTechnique(technique=Technique.ENTROPY_CODING)


def list_techniques(derivation: Derivation, task: CompressionTask) -> tuple[AppliedTechnique, ...]:
    """Lists what went into the chosen file, in the order in which it did."""
    rd_lambda = derivation.chosen.rd_lambda
    rounded = [] if rd_lambda is None else [round_at(rd_lambda), REFITTED]
    return (*_list_training(derivation, task), *rounded, *list_folding(task), MANTISSAS, CODED)


def _list_training(derivation: Derivation, task: CompressionTask) -> list[AppliedTechnique]:
    """What led to the network that the file is of."""
    if derivation.plain is not None:
        return list_quantizing_alone(derivation.plain)
    if not derivation.ancestry:
        return [CALIBRATED]
    plain = sum(one.stage.epochs for one in derivation.ancestry if one.stage is not None and one.stage.is_plain)
    return [
        *list_narrowing(derivation, task),
        DISTILLED,
        *list_teaching(derivation.teacher, task),
        *list_plain_epochs(plain),
        learn_steps(task.plan.bit_width, task.plan.activation_bit_width),
        prune_weights(derivation.ancestry[-1].reached_sparsity),
    ]


def list_folding(task: CompressionTask) -> list[AppliedTechnique]:
    """Batch norm is folded where the architecture has one."""
    is_folded = has_batch_norm(describe_facts(task.baseline.info))
    return [AppliedTechnique(technique=Technique.BATCH_NORM_FOLDING)] if is_folded else []


def list_quantizing_alone(plain: PlainFile) -> list[AppliedTechnique]:
    """What a plain file is made by."""
    if not plain.is_trained:
        return [AppliedTechnique(technique=Technique.CALIBRATED_QUANTIZATION, bit_width=plain.bit_width)]
    return [DISTILLED, learn_steps(plain.bit_width, plain.bit_width)]


def list_teaching(teacher: Teacher, task: CompressionTask) -> list[AppliedTechnique]:
    """Who taught, beside the baseline, and on which pictures."""
    taught = []
    if teacher.is_trained:
        taught.append(AppliedTechnique(technique=Technique.TRAINED_TEACHER, epochs=task.plan.teacher_epochs))
    if task.plan.max_shift:
        taught.append(AppliedTechnique(technique=Technique.SHIFTED_PICTURES, max_shift=task.plan.max_shift))
    return taught


def list_plain_epochs(epochs: int) -> list[AppliedTechnique]:
    """So many last epochs saw the pictures as they are stored."""
    return [AppliedTechnique(technique=Technique.PLAIN_PICTURES, epochs=epochs)] if epochs else []


def list_narrowing(derivation: Derivation, task: CompressionTask) -> list[AppliedTechnique]:
    """Channel pruning, where any channel went: from the baseline's hidden widths, or by its share of a network without
    such.
    """
    info = task.baseline.info
    before, after = (_count_channels(one) for one in (describe_facts(info), get_record(derivation.narrowed)))
    if after == before:
        return []
    if info.network is not None:
        return [AppliedTechnique(technique=Technique.CHANNEL_PRUNING, sparsity=1 - after / before)]
    widths = get_widths(info.architecture, derivation.narrowed)
    return [AppliedTechnique(technique=Technique.CHANNEL_PRUNING, widths_before=info.widths, widths_after=widths)]


def _count_channels(network: Network) -> int:
    """Outputs of the layers that can lose some."""
    fixed = find_fixed_layers(network)
    return sum(count for name, count in count_outputs(network).items() if name not in fixed)


def learn_steps(bit_width: int, activation_bit_width: int) -> AppliedTechnique:
    """Quantization-aware training."""
    return AppliedTechnique(
        technique=Technique.LEARNED_STEP_SIZES, bit_width=bit_width, activation_bit_width=activation_bit_width
    )


def prune_weights(sparsity: float) -> AppliedTechnique:
    """Weight pruning that reached that sparsity."""
    return AppliedTechnique(technique=Technique.WEIGHT_PRUNING, sparsity=sparsity)


def round_at(rd_lambda: float) -> AppliedTechnique:
    """Rounding at that trade-off."""
    return AppliedTechnique(technique=Technique.RATE_DISTORTION_ROUNDING, rd_lambda=rd_lambda)
