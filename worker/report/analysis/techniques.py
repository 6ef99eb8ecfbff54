"""Which of the known techniques a study used, read from what its jobs recorded."""

from __future__ import annotations

from worker.report import facts as names
from worker.report.analysis.results import is_distilled, read_techniques, read_widths
from worker.report.facts import StepFact, StudyFacts

_WORDS = {
    "distillation": ("distill",),
    "better_teacher": ("teacher trained",),
    "shifted_pictures": ("pictures shifted",),
    "plain_pictures": ("as they are stored",),
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
        said = " ".join(read_techniques(step)).lower()
        found |= {key for key, words in _WORDS.items() if any(word in said for word in words)}
        if is_distilled(step):
            found.add("distillation")
    if names.QUANTIZE in steps and any(model.history for model in read_widths(steps[names.QUANTIZE]).values()):
        found |= {"learned_steps", "batch_norm_folding", "entropy_coding"}
    if names.CHANNELS in steps:
        found.add("channel_pruning")
    # What a job folds where there are batch norms: not every network has them.
    if not any(module.kind.startswith("BatchNorm") for module in facts.modules):
        found.discard("batch_norm_folding")
    return [key for key in _WORDS if key in found]


def is_calibrated(step: StepFact) -> bool:
    """Whether a compression ended with the candidate that is calibrated and neither pruned nor trained."""
    return any("calibrated, without training" in line for line in read_techniques(step))
