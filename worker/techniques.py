"""The techniques that make a network small, as names with numbers, beside the sentences that tell of them."""

from __future__ import annotations

import re
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
    """One technique with its parameters: null where it has no such one, or the sentence does not tell."""

    technique: Technique
    bit_width: int | None = Field(None, description="Of the weights.")
    activation_bit_width: int | None = None
    sparsity: float | None = Field(None, description="Of the weights, 0–1.")
    widths_before: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    widths_after: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    epochs: int | None = None
    max_shift: int | None = Field(None, description="Pixels.")
    mantissa_bits: int | None = None
    rd_lambda: float | None = Field(None, description="Nats per picture that a bit was worth.")


_SENTENCES: tuple[tuple[Technique, str], ...] = (
    (Technique.NOTHING, r"^float32 checkpoint"),
    (Technique.CHANNEL_PRUNING, r"^channel pruning(, hidden widths (?P<widths_before>.+) to (?P<widths_after>.+))?"),
    (Technique.DISTILLATION, r"^distillation"),
    (Technique.TRAINED_TEACHER, r"(teacher|itself) trained for (up to )?(?P<epochs>\d+) more epochs"),
    (Technique.TRAINED_TEACHER, r"trained further|^trained on, "),
    (Technique.SHIFTED_PICTURES, r"pictures shifted by up to (?P<max_shift>\d+)"),
    (Technique.SHIFTED_PICTURES, r"on shifted pictures"),
    (Technique.PLAIN_PICTURES, r"the last (?P<epochs>\d+) epochs on training pictures as they are stored"),
    (Technique.CALIBRATED_QUANTIZATION, r"^(?P<bit_width>\d+) bit (quantization|integers), calibrated"),
    (
        Technique.CALIBRATED_QUANTIZATION,
        r"^(?P<bit_width>(?P<activation_bit_width>\d+)) bit weights and activations, calibrated",
    ),
    (
        Technique.LEARNED_STEP_SIZES,
        r"learned step sizes, (?P<bit_width>\d+) bit weights, (?P<activation_bit_width>\d+) bit activations",
    ),
    (
        Technique.LEARNED_STEP_SIZES,
        r"learned step sizes, (?P<bit_width>(?P<activation_bit_width>\d+)) bit weights and activations",
    ),
    (
        Technique.LEARNED_STEP_SIZES,
        r"^(?P<bit_width>(?P<activation_bit_width>\d+)) bit weights and activations, learned step sizes",
    ),
    (Technique.LEARNED_STEP_SIZES, r"^(?P<bit_width>\d+) bit training \(LSQ\)"),
    (Technique.WEIGHT_PRUNING, r"pruned( \(LAMP\))? to (?P<sparsity>[\d.]+) %"),
    (Technique.WEIGHT_PRUNING, r"weight pruning \(LAMP\)"),
    (
        Technique.RATE_DISTORTION_ROUNDING,
        r"^rate-distortion rounding( of the integers: a bit is worth (?P<rd_lambda>\S+) nats)?",
    ),
    (Technique.REFITTING, r"fitted anew"),
    (Technique.BATCH_NORM_FOLDING, r"batch norm folded"),
    (Technique.MANTISSA_ROUNDING, r"rounded to (?P<mantissa_bits>\d+) mantissa bits"),
    (Technique.ENTROPY_CODING, r"entropy coding"),
)
"""How jobs, of this and of every earlier version, tell of a technique: its parameters are named groups."""


def _read_widths(text: str) -> tuple[int, ...]:
    """`32-64-128`, or `[32, 64, 128]` as older versions wrote it."""
    return tuple(map(int, re.findall(r"\d+", text)))


_READERS: dict[str, Callable[[str], Any]] = {
    "widths_before": _read_widths,
    "widths_after": _read_widths,
    "sparsity": lambda text: float(text) / 100,
    "rd_lambda": float,
}
"""Parameter → how its text is read; the others are whole numbers."""


def read_techniques(sentences: Iterable[str]) -> tuple[AppliedTechnique, ...]:
    """Reads the techniques that stored sentences tell of, in their order. A sentence may tell of several, or of none
    that is known.
    """
    found = []
    for sentence in sentences:
        for technique, pattern in _SENTENCES:
            match = re.search(pattern, sentence)
            if match is not None:
                told = {name: _READERS.get(name, int)(text) for name, text in match.groupdict().items() if text}
                found.append(AppliedTechnique(technique=technique, **told))
    return tuple(found)
