"""Which techniques a study used, as its jobs recorded them."""

from __future__ import annotations

from worker.report import facts as names
from worker.report.analysis.results import is_distilled, read_applied, read_widths
from worker.report.facts import StepFact, StudyFacts
from worker.techniques import Technique

UNEXPLAINED = (Technique.NOTHING, Technique.CALIBRATED_QUANTIZATION)
"""The report's method tells of these anyway."""


def find_techniques(facts: StudyFacts) -> list[Technique]:
    """Those that the report explains, each once."""
    steps = facts.steps
    found = {one.technique for step in steps.values() for one in read_applied(step)}
    if any(is_distilled(step) for step in steps.values()):
        found.add(Technique.DISTILLATION)
    if names.QUANTIZE in steps and any(model.history for model in read_widths(steps[names.QUANTIZE]).values()):
        found |= {Technique.LEARNED_STEP_SIZES, Technique.BATCH_NORM_FOLDING, Technique.ENTROPY_CODING}
    if names.CHANNELS in steps:
        found.add(Technique.CHANNEL_PRUNING)
    # What a job folds where there are batch norms: not every network has them.
    if not any(module.kind.startswith("BatchNorm") for module in facts.modules):
        found.discard(Technique.BATCH_NORM_FOLDING)
    return [one for one in Technique if one in found and one not in UNEXPLAINED]


def is_calibrated(step: StepFact) -> bool:
    """Whether a compression ended with the candidate that is calibrated and neither pruned nor trained."""
    return any(one.technique is Technique.CALIBRATED_QUANTIZATION for one in read_applied(step))
