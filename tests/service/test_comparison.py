"""What may be held against each other, and what is left out with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.comparison import (
    Compared,
    Gap,
    compute_drop_difference,
    find_drop_gap,
    find_gaps,
    find_size_gap,
    find_speed_gap,
    find_times,
    group_by_pictures,
    shares_pictures,
)
from tests.service.conftest import Workshop, build_summary
from worker.model_summary import read_summary
from worker.paired import Basis, Correctness

CHANCE = {
    "problems": ["one_class", "chance"], "most_answered_class": 3, "most_answered_share": 1.0,
    "largest_class_share": 0.1, "accuracy": 0.1, "dead_layers": [], "num_not_finite": 0,
}  # fmt: skip


def keep(right: int, num_examples: int, pictures: str) -> dict[str, Any]:
    return Correctness(pictures, num_examples, right).to_json()


def build(model_id: str = "mdl_1", dataset: str = "digits", pictures: str | None = None, **other: Any) -> Compared:
    """pictures: the digest of both splits, where they were kept."""
    kept = {split: keep(1, 10, pictures) for split in ("validation", "test")} if pictures else None
    summary = build_summary(test=0.9, file_bytes=1000, correctness=kept, split_seed=0)
    return Compared(model_id, model_id, dataset, read_summary(summary | other))


def time(median_ms: float, run_id: str | None = None) -> dict[str, Any]:
    return {"median_ms": median_ms, "run_id": run_id, "device": "cpu", "batch_size": 64, "threads": 1}


def test_networks_of_other_data_sets_are_compared_in_nothing() -> None:
    one, other = build(), build("mdl_2", "fashion_mnist")
    assert find_gaps(one, other) == dict.fromkeys(
        ["accuracy_drop.validation", "accuracy_drop.test", "size_ratio", "speedup"], Gap.OTHER_DATASET
    )
    # Whatever digest they carry.
    assert not shares_pictures(build(pictures="a"), build("mdl_2", "fashion_mnist", pictures="a"), "test")


def test_another_seed_draws_another_validation_split_and_leaves_the_test_set_alone() -> None:
    one, other = build(), build("mdl_2", split_seed=1)
    assert find_drop_gap(one, other, "validation") is Gap.OTHER_PICTURES
    assert find_drop_gap(one, other, "test") is None
    assert find_size_gap(one, other) is None


def test_pictures_decide_where_they_are_known_whatever_the_seed_says() -> None:
    one, same, other = build(pictures="a"), build("mdl_2", pictures="a", split_seed=1), build("mdl_3", pictures="b")
    for split in ("validation", "test"):
        assert find_drop_gap(one, same, split) is None
        assert find_drop_gap(one, other, split) is Gap.OTHER_PICTURES


def test_times_are_held_against_each_other_only_where_they_were_taken_in_turns() -> None:
    baseline = build("mdl_1", latency=time(8.0))
    drop = {"baseline_model_id": "mdl_1"}
    narrow = build("mdl_2", latency=time(5.0, "r"), baseline_latency=time(10.0, "r"), accuracy_drop=drop)
    # 10 ms beside the narrow one, whatever it took when it was stored.
    assert find_times(narrow, baseline) == (5.0, 10.0)
    assert find_times(baseline, narrow) == (10.0, 5.0)
    assert find_speed_gap(narrow, baseline) is None
    sibling = build("mdl_3", latency=time(4.0, "s"), baseline_latency=time(8.0, "s"), accuracy_drop=drop)
    assert find_speed_gap(sibling, narrow) is Gap.MEASURED_APART
    assert find_speed_gap(build("mdl_4", latency=time(1.0)), baseline) is Gap.MEASURED_APART
    assert find_speed_gap(build("mdl_5", latency=None), baseline) is Gap.NOT_MEASURED


def test_a_drop_is_paired_by_the_pictures_and_says_where_it_is_not() -> None:
    def score(right: int, **kept: Any) -> Compared:
        count = right.bit_count()
        measured = {"num_correct": count, "num_examples": 360, "accuracy": count / 360, "interval": [0.9, 0.99]}
        return build(evaluation={"test": measured}, **kept)

    everything = (1 << 350) - 1
    before = score(everything, correctness={"test": keep(everything, 360, "a")})
    after = score(everything >> 10, correctness={"test": keep(everything >> 10, 360, "a")})
    difference = compute_drop_difference(after, before, "test")
    assert difference is not None
    assert difference.is_distinguishable
    assert (100 * difference.low, 100 * difference.high) == pytest.approx((1.08, 4.48), abs=5e-3)
    assert (difference.only_one, difference.only_other) == (10, 0)
    blind = compute_drop_difference(score(everything >> 10), before, "test")
    assert blind is not None
    assert (blind.basis, blind.p_value) == (Basis.NOT_RECORDED, None)
    assert compute_drop_difference(after, before, "validation") is None


def test_models_are_grouped_by_the_pictures_they_were_measured_on() -> None:
    models = [build(), build(split_seed=1), build(dataset="fashion_mnist"), build()]
    assert group_by_pictures(models, "validation") == [
        "digits, seed 0", "digits, seed 1", "fashion_mnist, seed 0", "digits, seed 0",
    ]  # fmt: skip
    assert group_by_pictures(models, "test") == ["digits", "digits", "fashion_mnist", "digits"]
    # Another version of the data set; what was stored before pictures were known goes with its first one.
    newest_first = [build(pictures="new"), build(pictures="old"), build()]
    new, old, unknown = group_by_pictures(newest_first, "test")
    assert new != old == unknown


def test_the_comparison_leaves_claims_out_and_says_why(client: TestClient, workshop: Workshop) -> None:
    first = workshop.train(split_seed=0)
    other = workshop.train(split_seed=1, health=CHANCE)
    digits = workshop.train(dataset="digits")
    answer = client.get(f"/v1/compare?models={first},{other},{digits}").json()
    itself, second, third = answer["models"]
    assert (itself["size_ratio"], itself["speedup"], itself["not_compared"]) == (1.0, 1.0, [])
    assert second["accuracy_drop"] == {"validation": None, "test": 0.0}
    assert [(gap["field"], gap["reason"]) for gap in second["not_compared"]] == [
        ("accuracy_drop.validation", "other_pictures"),
        ("speedup", "measured_apart"),
    ]
    assert second["health"]["problems"] == ["one_class", "chance"]
    assert (third["accuracy_drop"], third["size_ratio"], third["speedup"]) == (
        {"validation": None, "test": None},
        None,
        None,
    )
    assert {gap["reason"] for gap in third["not_compared"]} == {"other_dataset"}
    assert not any("faster" in verdict or "slower" in verdict for verdict in answer["verdict"])


def test_the_front_is_of_sound_models_measured_on_the_same_pictures(client: TestClient, workshop: Workshop) -> None:
    baseline = workshop.train(split_seed=0)
    sick = workshop.compress(baseline, file_bytes=199, split_seed=0, health=CHANCE)
    other_split = workshop.compress(baseline, file_bytes=500, split_seed=1)
    beaten = workshop.compress(baseline, file_bytes=2000, split_seed=0)
    good = workshop.compress(baseline, file_bytes=1000, split_seed=0)
    points = {point["model_id"]: point for point in client.get("/v1/pareto").json()["points"]}
    assert [model for model, point in points.items() if point["on_front"]] == [other_split, good]
    assert points[sick]["problems"] == ["one_class", "chance"]
    assert points[other_split]["group"] != points[good]["group"] == points[beaten]["group"]
    # The test set is the same for every seed.
    assert {point["group"] for point in client.get("/v1/pareto?split=test").json()["points"]} == {"fashion_mnist"}
    stored = client.get(f"/v1/models/{sick}").json()
    assert stored["health"]["problems"] == ["one_class", "chance"]
