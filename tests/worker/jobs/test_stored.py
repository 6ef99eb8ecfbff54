"""Stored specs of older versions, without running one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.errors import InvalidSpec
from worker.job_spec import JobSpec
from worker.jobs import SPECS, parse_spec, parse_stored_spec
from worker.stored_specs import StoredSpec

OLD_PRUNE: dict[str, Any] = {
    "kind": "prune", "name": None, "labels": {}, "seed": 0, "max_attempts": 2, "max_runtime_s": 7200,
    "model_id": "mdl_1", "pattern": "weights", "method": "magnitude", "scope": "global", "schedule": "one_shot",
    "sparsity": None, "max_accuracy_drop": 1.0, "steps": 6, "epochs_per_step": 1, "fine_tune_epochs": 0,
    "learning_rate": 0.02, "distillation": True,
}  # fmt: skip
"""As 35393ab stored every one-shot job."""

REQUIRED = {
    **{kind: {"model_id": "mdl_1"} for kind in ("prune", "quantize", "compress", "predict")},
    "export": {"model_id": "mdl_1", "target": "c"},
}


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
    assert stored.spec.model_dump(mode="json") == store("prune") | {"learning_rate": OLD_PRUNE["learning_rate"]}
    assert {(change.field, change.was, change.now) for change in stored.changes} == {
        ("steps", 6, None), ("epochs_per_step", 1, None),
    }  # fmt: skip


def test_a_step_by_step_prune_keeps_its_steps() -> None:
    stored = parse_stored_spec({**OLD_PRUNE, "schedule": "linear"})
    assert (stored.spec.model_dump()["steps"], stored.spec.model_dump()["epochs_per_step"]) == (6, 1)
    assert stored.changes == ()


@pytest.mark.slow
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


@pytest.mark.parametrize(("kind", "change", "field", "now"), [
    ("train", {"seed": 2**31}, "seed", 2**31 - 1),
    ("train", {"seed": -1}, "seed", 0),
    ("quantize", {"bit_widths": [8, 1]}, "bit_widths.1", 2),
    ("quantize", {"bit_widths": [99, 4]}, "bit_widths.0", 8),
])  # fmt: skip
def test_a_whole_number_beyond_any_limit_becomes_the_nearest_within_also_in_a_list(
    kind: str, change: dict[str, Any], field: str, now: int
) -> None:
    content = {**store(kind), **change}
    stored = parse_stored_spec(content)
    assert [(made.field, made.now) for made in stored.changes] == [(field, now)]
    assert content == {**store(kind), **change}  # what is stored is not touched


@pytest.mark.parametrize(
    ("kind", "change"),
    [("train", {"learning_rate": 0.0}), ("train", {"learning_rate": 0}), ("train", {"label_smoothing": 1.0})],
)
def test_a_fraction_beyond_a_limit_that_is_no_value_has_no_nearest_one(kind: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse_stored_spec({**store(kind), **change})
    assert refusal.value.field in change


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


@given(
    spec=st.dictionaries(
        st.sampled_from([*OLD_PRUNE, "old"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        | st.lists(st.integers(), max_size=3) | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    )
)  # fmt: skip
def test_whatever_is_stored_is_read_or_refused_as_a_spec(spec: dict[str, Any]) -> None:
    for content in (spec, {**OLD_PRUNE, **spec}):
        try:
            found: StoredSpec | InvalidSpec = parse_stored_spec(content)
        except InvalidSpec as refusal:
            found = refusal
        if isinstance(found, InvalidSpec):
            assert found.field
        else:
            assert type(found.spec).model_validate(found.spec.model_dump(mode="json")) == found.spec


def test_no_kind_counts_below_what_all_began_with() -> None:
    # Else a later version is one under which something was computed before.
    assert [kind for kind, spec in SPECS.items() if spec.version < JobSpec.version] == []
