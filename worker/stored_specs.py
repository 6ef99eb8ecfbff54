"""A stored spec as today's code reads it: it was accepted once, whatever has been forbidden since.

Strict rules stand at the door (service/). Behind it a job that was answered 202 is run: what is not known any more is
left out, a number out of today's range, alone or in a list, becomes the nearest one within, and each such change is
told. What cannot be read so is `invalid_spec`, by name: also a fraction beyond a limit that is no value itself, which
has no nearest one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from storage.errors import InvalidSpec
from worker.job_spec import JobSpec

_MAX_ROUNDS = 20
"""Pydantic tells of a rule between fields only once each of them is right by itself."""

Content = dict[str, Any]


@dataclass(frozen=True)
class SpecChange:
    """One field that is not run as it was stored; `now` is None where it was left out."""

    field: str
    was: Any
    now: Any
    reason: str

    def describe(self) -> str:
        """A line for people."""
        verb = "is left out" if self.now is None else f"is read as {json.dumps(self.now)}"
        return f"{self.field}: {json.dumps(self.was)} {verb}: {self.reason}"

    def build_data(self) -> dict[str, Any]:
        """The same for programs."""
        return {"code": "spec_changed", "field": self.field, "was": self.was, "now": self.now, "reason": self.reason}


@dataclass(frozen=True)
class StoredSpec:
    """A spec, and what it took to read it."""

    spec: JobSpec
    changes: tuple[SpecChange, ...] = ()


def adapt_spec(spec_type: type[JobSpec], stored: Mapping[str, Any]) -> StoredSpec:
    """The stored JSON as a spec of this type. Raises InvalidSpec."""
    content: Content = dict(stored)
    kind: str = spec_type.model_fields["kind"].default
    changes: list[SpecChange] = []
    for number in range(_MAX_ROUNDS):
        try:
            return StoredSpec(spec_type.model_validate(content), tuple(changes))
        except ValidationError as error:
            problems: list[Any] = error.errors(include_url=False, include_input=False)
        # Only where something is wrong: most specs were written by the code that reads them.
        found = [] if number else [change for rule in _TIGHTENED.get(kind, ()) for change in rule(content)]
        found += [change for problem in problems if (change := _adapt_field(content, problem)) is not None]
        if not found:
            raise _refuse(problems[0])
        changes += found
    raise InvalidSpec("spec: this version does not take what was stored", field="spec")


def _refuse(problem: Mapping[str, Any]) -> InvalidSpec:
    field = ".".join(map(str, problem["loc"])) or "spec"
    return InvalidSpec(f"{field}: this version does not take what was stored: {problem['msg']}", field=field)


def _adapt_field(content: Content, problem: Mapping[str, Any]) -> SpecChange | None:
    """Changes `content` so that this problem is gone, where that is possible."""
    field, *inner = problem["loc"] or [None]
    if field not in content:
        return None  # missing, or mended already
    if problem["type"] == "extra_forbidden" and not inner:
        return SpecChange(field, content.pop(field), None, "this version has no such field")
    if field == "name":
        return SpecChange(field, content.pop(field), None, "this version takes no such name")
    if field == "labels":
        return _adapt_labels(content, problem, inner)
    return _adapt_number(content, problem)


def _adapt_number(content: Content, problem: Mapping[str, Any]) -> SpecChange | None:
    """A number where `problem` is: a field's own, or one in a list of it."""
    field, *inner = problem["loc"]
    changed = {field: copy.deepcopy(content[field])}
    holder: Any = changed
    try:
        for part in (field, *inner[:-1]) if inner else ():
            holder = holder[part]
        key = inner[-1] if inner else field
        was = holder[key]
    except (KeyError, IndexError, TypeError):  # a name of pydantic's own, such as a member of a union
        return None
    nearest = _find_nearest(problem, was)
    if nearest is None:
        return None
    holder[key] = nearest
    content.update(changed)
    return SpecChange(".".join(map(str, problem["loc"])), was, nearest, "this version takes no value beyond it")


def _adapt_labels(content: Content, problem: Mapping[str, Any], inner: list[Any]) -> SpecChange | None:
    labels = content["labels"]
    if not isinstance(labels, Mapping):
        return None
    kept = dict(labels)
    if inner and inner[0] in kept:
        del kept[inner[0]]
    elif problem["type"] == "too_long":
        kept = dict(list(kept.items())[: problem["ctx"]["max_length"]])
    else:
        return None
    dropped = {key: value for key, value in labels.items() if key not in kept}
    content["labels"] = kept
    return SpecChange("labels", dropped, None, "this version takes no such labels")


def _find_nearest(problem: Mapping[str, Any], was: Any) -> float | None:
    """The value within the limit that a number is beyond; None for another problem, or where none is nearest."""
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "greater_than_equal":
            return limits["ge"]  # type: ignore[no-any-return]
        case "less_than_equal":
            return limits["le"]  # type: ignore[no-any-return]
        case "greater_than" if isinstance(was, int) and isinstance(limits["gt"], int):
            return limits["gt"] + 1
        case "less_than" if isinstance(was, int) and isinstance(limits["lt"], int):
            return limits["lt"] - 1
    return None


# --- what was allowed once, by kind: the rules between fields, which nothing else can tell how to keep


def _leave_out_steps(content: Content) -> list[SpecChange]:
    """Until 100fb74 a one-shot schedule was stored with the steps of the others, and took no notice of them."""
    if content.get("schedule", "one_shot") != "one_shot":
        return []
    stored = [name for name in ("steps", "epochs_per_step") if content.get(name) is not None]
    return [SpecChange(name, content.pop(name), None, "a one_shot schedule has no steps") for name in stored]


_TIGHTENED: dict[str, tuple[Callable[[Content], list[SpecChange]], ...]] = {"prune": (_leave_out_steps,)}
"""Kind → its rules."""
