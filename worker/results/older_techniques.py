"""Techniques of results that older versions stored: those told of them in sentences alone, and these are read here.

Nothing that today's jobs make passes through: they store `applied`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from worker.techniques import AppliedTechnique, Technique

_PATTERNS: tuple[tuple[Technique, str], ...] = (
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
"""How versions that had no names told of a technique: its parameters are named groups."""


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


def read_sentences(sentences: Iterable[str]) -> tuple[AppliedTechnique, ...]:
    """Reads the techniques that stored sentences tell of, in their order. A sentence may tell of several, or of none
    that is known.
    """
    found = []
    for sentence in sentences:
        for technique, pattern in _PATTERNS:
            match = re.search(pattern, sentence)
            if match is not None:
                told = {name: _READERS.get(name, int)(text) for name, text in match.groupdict().items() if text}
                found.append(AppliedTechnique(technique=technique, **told))
    return tuple(found)


def add_applied(stored: Any, words: str) -> Any:
    """Returns a part of a result with `applied`. words: the field of sentences that older versions have instead."""
    if not isinstance(stored, Mapping) or "applied" in stored:
        return stored
    told = stored.get(words)
    if not isinstance(told, str | list | tuple):
        return stored
    return {**stored, "applied": read_sentences([told] if isinstance(told, str) else map(str, told))}
