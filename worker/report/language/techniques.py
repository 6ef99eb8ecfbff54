"""Short names of techniques, for tables and figures."""

from __future__ import annotations

from collections.abc import Iterable

from worker.report.language.values import count, percent1
from worker.report.language.wording import Wording
from worker.techniques import AppliedTechnique


def name_techniques(wording: Wording, applied: Iterable[AppliedTechnique]) -> str:
    """What was applied, listed in the language."""
    return wording.list_words([_name(wording, one) for one in applied])


def _name(wording: Wording, one: AppliedTechnique) -> str:
    values = {"bits": count(one.bit_width), "sparsity": percent1(one.sparsity)}
    wanted = wording.variables[f"label.{one.technique}"]
    return wording.say(f"label.{one.technique}", **{name: values[name] for name in wanted})
