"""The analysis of trainings: which of them began anew at a gentler rate, and which did not learn. See `analysis`."""

from __future__ import annotations

from worker.report.analysis.evidence import Evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import Training, read_trainings
from worker.report.facts import StepFact
from worker.report.language.values import code, count, percent, plain, term


def analyse_trainings(evidence: Evidence, *steps: str) -> list[Finding]:
    """A finding for each training of these steps that did not go as asked; none where all did, or nothing says it."""
    found = []
    for name in steps:
        step = evidence.facts.steps.get(name)
        for position, training in enumerate([] if step is None else read_trainings(step)):
            if step is not None and training.attempts and training.attempts[0].reason is not None:
                found.append(_describe(step, position, training))
    return found


def _describe(step: StepFact, position: int, training: Training) -> Finding:
    attempts, kept = training.attempts, training.kept
    rates = [attempt.learning_rate for attempt in attempts]
    values = {
        "stage": code(training.stage),
        "step": term(f"step.{step.name}"),
        "rate": plain(rates[0]),
        "reason": term(f"trouble.{attempts[0].reason}"),
    }
    source = f"`{step.job_id}` · `result.trainings[{position}]`"
    if training.has_learned:
        if kept is not None and rates[kept] != rates[0]:
            return Finding("training.gentler", values | {"kept": plain(rates[kept])}, source)
        return Finding("training.no_better" if len(attempts) > 1 else "training.as_it_went", values, source)
    values |= {
        "rates": count(len(set(rates))),
        "lowest": plain(min(rates)),
        "start": percent(training.start_accuracy),
    }
    if kept is None:
        return Finding("training.start_kept", values, source)
    values |= {
        "accuracy": percent(attempts[kept].best_validation_accuracy),
        "chance": percent(training.chance_accuracy),
    }
    return Finding("training.not_learned", values, source)
