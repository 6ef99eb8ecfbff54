"""Stored specs of older versions, without running one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.errors import InvalidSpec
from worker.jobs import SPECS, parse_spec, parse_stored_spec

OLD_PRUNE: dict[str, Any] = {
    "kind": "prune", "name": None, "labels": {}, "seed": 0, "max_attempts": 2, "max_runtime_s": 7200,
    "model_id": "mdl_1", "pattern": "weights", "method": "magnitude", "scope": "global", "schedule": "one_shot",
    "sparsity": None, "max_accuracy_drop": 1.0, "steps": 6, "epochs_per_step": 1, "fine_tune_epochs": 0,
    "learning_rate": 0.02, "distillation": True,
}  # fmt: skip
"""As 35393ab stored every one-shot job."""

REQUIRED = {"prune": {"model_id": "mdl_1"}, "quantize": {"model_id": "mdl_1"}, "compress": {"model_id": "mdl_1"},
            "predict": {"model_id": "mdl_1"}}  # fmt: skip


def store(kind: str) -> dict[str, Any]:
    """A spec as it lies in the database."""
    return SPECS[kind].model_validate(REQUIRED.get(kind, {})).model_dump(mode="json")


@pytest.mark.parametrize("kind", SPECS)
def test_what_this_version_stores_it_reads_unchanged(kind: str) -> None:
    stored = parse_stored_spec(store(kind))
    assert (stored.spec.model_dump(mode="json"), stored.changes) == (store(kind), ())


def test_a_one_shot_prune_of_the_first_version_runs_without_the_steps_that_it_never_took() -> None:
    with pytest.raises(ValidationError):
        parse_spec(OLD_PRUNE)  # at the door it stays refused
    stored = parse_stored_spec(OLD_PRUNE)
    assert stored.spec.model_dump(mode="json") == store("prune")
    assert {(change.field, change.was, change.now) for change in stored.changes} == {
        ("steps", 6, None), ("epochs_per_step", 1, None),
    }  # fmt: skip


def test_a_step_by_step_prune_keeps_its_steps() -> None:
    stored = parse_stored_spec({**OLD_PRUNE, "schedule": "linear"})
    assert (stored.spec.model_dump()["steps"], stored.spec.model_dump()["epochs_per_step"]) == (6, 1)
    assert stored.changes == ()


@pytest.mark.parametrize("kind", SPECS)
@given(
    forgotten=st.dictionaries(st.from_regex(r"old_[a-z]{1,9}", fullmatch=True), st.integers() | st.none(), max_size=3)
)
def test_fields_that_are_not_known_any_more_are_left_out_and_named(kind: str, forgotten: dict[str, Any]) -> None:
    stored = parse_stored_spec({**store(kind), **forgotten})
    assert stored.spec.model_dump(mode="json") == store(kind)
    assert {change.field for change in stored.changes} == forgotten.keys()


NUMBERS = [
    (kind, name)
    for kind, spec in SPECS.items()
    for name, rules in spec.model_json_schema()["properties"].items()
    if {"minimum", "maximum"} & rules.keys()
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_a_number_beyond_a_limit_that_came_later_becomes_the_limit(kind: str, name: str) -> None:
    rules = SPECS[kind].model_json_schema()["properties"][name]
    beyond = {"minimum": -1, "maximum": 1}
    for limit in beyond.keys() & rules.keys():
        stored = parse_stored_spec({**store(kind), name: rules[limit] + beyond[limit]})
        assert stored.spec.model_dump()[name] == rules[limit]
        assert [(change.field, change.now) for change in stored.changes] == [(name, rules[limit])]


@pytest.mark.parametrize(
    "field", [{"name": "a\nb"}, {"name": "x" * 101}, {"labels": {"Team": "a"}}, {"labels": {"team": "a\x00"}}]
)
def test_a_name_that_is_only_for_people_stops_no_job(field: dict[str, Any]) -> None:
    stored = parse_stored_spec({**store("train"), **field})
    assert stored.spec.model_dump(mode="json") == store("train")
    assert [change.field for change in stored.changes] == list(field)


def test_labels_that_are_too_many_are_cut_and_the_wrong_ones_among_them_go() -> None:
    labels = {f"l{number}": "v" for number in range(17)}
    stored = parse_stored_spec({**store("train"), "labels": labels})
    assert stored.spec.labels == {key: labels[key] for key in list(labels)[:16]}
    mixed = parse_stored_spec({**store("train"), "labels": {"team": "a", "Team": "b", "room": "\x01"}})
    assert mixed.spec.labels == {"team": "a"}
    assert len(mixed.changes) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "distil"}, "kind"),
        ({"model_id": None}, "model_id"),
        ({"method": "gone"}, "method"),
        ({"pattern": "channels", "scope": "lamp"}, "scope"),
        ({"sparsity": 1.5}, "sparsity"),
        ({"labels": "team"}, "labels"),
        ({"schedule": 3, "steps": "many"}, "schedule"),
    ],
)
def test_what_would_be_another_job_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse_stored_spec({**OLD_PRUNE, **change})
    assert (refusal.value.code, refusal.value.field, refusal.value.retryable) == ("invalid_spec", field, False)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3)


@given(spec=st.dictionaries(st.sampled_from([*OLD_PRUNE, "old"]), VALUES))
def test_whatever_is_stored_is_read_or_refused_as_a_spec(spec: dict[str, Any]) -> None:
    for content in (spec, {**OLD_PRUNE, **spec}):
        with contextlib.suppress(InvalidSpec):  # and nothing else
            spec_read = parse_stored_spec(content).spec
            assert type(spec_read).model_validate(spec_read.model_dump(mode="json")) == spec_read
