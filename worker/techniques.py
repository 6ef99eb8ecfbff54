"""The techniques that make a network small, as names with numbers, and the sentences that tell of them. No torch here.

To add one: a value of `Technique` and a line in `_SENTENCES`; for the report a label in each language, and an
explanation where it should have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field

from worker.model_summary import Recorded


class Technique(StrEnum):
    """What `compress` may do to a network."""

    NOTHING = "nothing"
    """The plain float32 checkpoint, from which the others are counted."""
    CALIBRATED_QUANTIZATION = "calibrated_quantization"
    """Without training."""
    LEARNED_STEP_SIZES = "learned_step_sizes"
    """Quantization-aware training, LSQ."""
    CHANNEL_PRUNING = "channel_pruning"
    WEIGHT_PRUNING = "weight_pruning"
    """Gradual and layer-adaptive (LAMP), while quantized."""
    DISTILLATION = "distillation"
    TRAINED_TEACHER = "trained_teacher"
    """The dense network was trained further before it taught."""
    SHIFTED_PICTURES = "shifted_pictures"
    PLAIN_PICTURES = "plain_pictures"
    """The last epochs saw the pictures as they are stored."""
    RATE_DISTORTION_ROUNDING = "rate_distortion_rounding"
    REFITTING = "refitting"
    """Scales and biases fitted anew after rounding."""
    BATCH_NORM_FOLDING = "batch_norm_folding"
    MANTISSA_ROUNDING = "mantissa_rounding"
    """Of scales and biases."""
    ENTROPY_CODING = "entropy_coding"


class AppliedTechnique(Recorded):
    """One technique with its parameters: null where it has no such one, or the version that ran did not record it."""

    technique: Technique
    bit_width: int | None = Field(None, description="Of the weights.")
    activation_bit_width: int | None = None
    sparsity: float | None = Field(None, description="Of the weights, or of the channels, 0–1.")
    widths_before: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    widths_after: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    epochs: int | None = None
    max_shift: int | None = Field(None, description="Pixels.")
    mantissa_bits: int | None = None
    rd_lambda: float | None = Field(None, description="Nats per picture that a bit was worth.")


_SENTENCES = {
    Technique.NOTHING: "float32 checkpoint",
    Technique.CALIBRATED_QUANTIZATION: "{bit_width} bit quantization, calibrated, without training",
    Technique.LEARNED_STEP_SIZES: "quantization-aware training with learned step sizes, {bit_width} bit weights, "
    "{activation_bit_width} bit activations",
    Technique.CHANNEL_PRUNING: "channel pruning, hidden widths {widths_before} to {widths_after}",
    Technique.WEIGHT_PRUNING: "weights gradually pruned (LAMP) to {sparsity} % while quantized",
    Technique.DISTILLATION: "distillation from the dense model",
    Technique.TRAINED_TEACHER: "the teacher trained for up to {epochs} more epochs",
    Technique.SHIFTED_PICTURES: "training pictures shifted by up to {max_shift} px",
    Technique.PLAIN_PICTURES: "the last {epochs} epochs on training pictures as they are stored",
    Technique.RATE_DISTORTION_ROUNDING: "rate-distortion rounding of the integers: a bit is worth {rd_lambda} nats per "
    "picture",
    Technique.REFITTING: "scale and bias of each channel fitted anew after rounding",
    Technique.BATCH_NORM_FOLDING: "batch norm folded into scales and biases",
    Technique.MANTISSA_ROUNDING: "scales and biases rounded to {mantissa_bits} mantissa bits",
    Technique.ENTROPY_CODING: "context-modelled entropy coding",
}

_NARROWED_BY_SHARE = "channel pruning, {sparsity} % of the channels"
"""Of a network that only its record describes: it has no widths by name."""


def _join_widths(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))


_FORMATS: dict[str, Callable[[Any], str]] = {
    "widths_before": _join_widths,
    "widths_after": _join_widths,
    "sparsity": lambda fraction: f"{100 * fraction:.1f}",
    "rd_lambda": lambda nats: f"{nats:.2e}",
}
"""Parameter → how a sentence has it; the others are whole numbers."""


def describe_techniques(applied: Iterable[AppliedTechnique]) -> tuple[str, ...]:
    """Puts each technique into an English sentence, as a result has it.

    Raises KeyError where a parameter that the sentence names is not known.
    """
    return tuple(_describe(one) for one in applied)


def _describe(applied: AppliedTechnique) -> str:
    known = {name: value for name, value in applied if value is not None}
    is_by_share = applied.technique is Technique.CHANNEL_PRUNING and applied.sparsity is not None
    sentence = _NARROWED_BY_SHARE if is_by_share else _SENTENCES[applied.technique]
    return sentence.format(**{name: _FORMATS.get(name, str)(known[name]) for name in known})
