"""Which of the known techniques a study used, read from what its jobs recorded."""

from __future__ import annotations

from worker.core.report import facts as names
from worker.core.report.facts import StudyFacts

_WORDS = {
    "distillation": ("distill",),
    "learned_steps": ("learned step",),
    "gradual_lamp": ("lamp",),
    "gradual_erk": ("erk",),
    "batch_norm_folding": ("batch norm folded",),
    "short_mantissas": ("mantissa",),
    "entropy_coding": ("entropy coding", "range cod"),
    "channel_pruning": ("channel pruning",),
    "mixed_widths": ("mixed",),
    "clustering": ("cluster", "shared values"),
    "rate_distortion": ("rate-distortion", "rate distortion"),
    "refitting": ("fitted anew",),
    "averaging": ("weight averaging", "averaged weights", "ema"),
}
"""A key of the report's explanations → words of `result.techniques` that mean it."""


def find_techniques(facts: StudyFacts) -> list[str]:
    """Keys in the order of `_WORDS`, each once."""
    steps = facts.steps
    found = set()
    for step in steps.values():
        said = " ".join(str(line) for line in step.result.get("techniques") or []).lower()
        found |= {key for key, words in _WORDS.items() if any(word in said for word in words)}
        if step.result.get("distillation") is True:
            found.add("distillation")
    if names.QUANTIZE in steps and any(row.get("history") for row in steps[names.QUANTIZE].result["widths"]):
        found |= {"learned_steps", "batch_norm_folding", "entropy_coding"}
    if names.CHANNELS in steps:
        found.add("channel_pruning")
    return [key for key in _WORDS if key in found]
