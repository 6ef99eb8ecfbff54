"""How a chosen file came about: the networks that its weights came from, and the techniques that went into it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from worker.core.compression.candidates import MANTISSA_BITS, Candidate
from worker.core.compression.plain import PlainFile
from worker.core.compression.qat import CALIBRATED_BIT_WIDTH, TrainedStage
from worker.core.compression.rounding import Rounder
from worker.core.compression.task import CompressionTask
from worker.core.compression.teacher import Teacher
from worker.core.models import get_widths, has_batch_norm


@dataclass(frozen=True)
class Derivation:
    """What a chosen file came from. ancestry: the stages that it has behind it, in their order.

    plain: where it is quantized and no more, by more than calibration to 8 bits alone.
    """

    chosen: Candidate
    calibrated: nn.Module
    teacher: Teacher
    narrowed: nn.Module
    ancestry: tuple[TrainedStage, ...]
    rounder: Rounder
    plain: PlainFile | None


def describe_techniques(derivation: Derivation, task: CompressionTask) -> list[str]:
    """Names what went into the chosen file, for the report."""
    chosen, plan, architecture = derivation.chosen, task.plan, task.baseline.info.architecture
    coding = [
        *(["batch norm folded into scales and biases"] if has_batch_norm(architecture) else []),
        f"scales and biases rounded to {MANTISSA_BITS} mantissa bits",
        "context-modelled entropy coding",
    ]
    if chosen.rd_lambda is not None:
        coding = [
            f"rate-distortion rounding of the integers: a bit is worth {chosen.rd_lambda:.2e} nats per picture",
            "scale and bias of each channel fitted anew after rounding",
            *coding,
        ]
    if derivation.plain is not None:
        return [*_describe_plain(derivation.plain), *coding]
    if not derivation.ancestry:
        return [f"{CALIBRATED_BIT_WIDTH} bit quantization, calibrated, without training", *coding]
    before, after = (
        "-".join(map(str, widths))
        for widths in (task.baseline.info.widths, get_widths(architecture, derivation.narrowed))
    )
    weights, inputs = plan.bit_width, plan.activation_bit_width
    return [
        f"channel pruning, hidden widths {before} to {after}",
        *_describe_teaching(derivation, task),
        f"quantization-aware training with learned step sizes, {weights} bit weights, {inputs} bit activations",
        "gradual layer-adaptive weight pruning (LAMP) while quantized",
        *coding,
    ]


def _describe_plain(plain: PlainFile) -> list[str]:
    if not plain.is_trained:
        return [f"{plain.bit_width} bit quantization, calibrated, without training"]
    return [
        "distillation from the dense model",
        f"quantization-aware training with learned step sizes, {plain.bit_width} bit weights and activations",
    ]


def _describe_teaching(derivation: Derivation, task: CompressionTask) -> list[str]:
    """Who taught, and on which pictures."""
    taught = ["distillation from the dense model"]
    if derivation.teacher.is_trained:
        taught.append(f"the teacher trained for up to {task.plan.teacher_epochs} more epochs")
    if task.plan.max_shift:
        taught.append(f"training pictures shifted by up to {task.plan.max_shift} px")
    plain = sum(one.stage.epochs for one in derivation.ancestry if one.stage is not None and one.stage.is_plain)
    if plain:
        taught.append(f"the last {plain} epochs on training pictures as they are stored")
    return taught
