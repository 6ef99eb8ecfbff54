"""Models that saw the same pictures are paired, unsound ones are called that, and times beside others are flagged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.worker.report.small_study import ENGLISH, PERSIAN, build_facts, build_results, evaluate
from tests.worker.report.test_analysis import Results, find_all
from worker.paired import Correctness
from worker.report.analysis.evidence import read_evidence
from worker.report.analysis.health import analyse_health

FLOAT = (1 << 350) - 1
"""Of 360 pictures, float answers 350 rightly."""
SICK: dict[str, Any] = {
    "problems": ["one_class", "chance", "dead_layer", "not_finite"], "most_answered_class": 2,
    "most_answered_share": 1.0, "largest_class_share": 0.335, "accuracy": 0.335, "dead_layers": ["fc1"],
    "num_not_finite": 7,
}  # fmt: skip


def set_right(result: dict[str, Any], right: int, pictures: str = "digits") -> None:
    """What a model of 360 test pictures answers rightly."""
    result["evaluation"]["test"] = evaluate(right.bit_count(), 360)
    result["correctness"] = {"test": Correctness(pictures, 360, right).to_json()}


def lose_by_width(*lost: int) -> Results:
    """The issue's study: how many pictures only float answers rightly, for 8, 4 and 2 bits; none the reverse."""
    results = build_results()
    set_right(results["train"], FLOAT)
    for row, count in zip(results["quantize"]["widths"], lost, strict=True):
        set_right(row, FLOAT >> count)
    return results


def test_a_loss_on_the_same_pictures_is_not_hidden_by_taking_them_as_independent() -> None:
    results = lose_by_width(0, 2, 10)
    found = find_all(results)
    cost = found["quantize.cost"].values
    assert (cost["bits"].raw, cost["low"].raw, cost["high"].raw) == (
        2,
        pytest.approx(-4.48, abs=5e-3),
        pytest.approx(-1.08, abs=5e-3),
    )
    assert cost["basis"].raw == {"kind": "paired", "one": 0, "other": 10, "p_value": pytest.approx(0.00195, abs=1e-5)}
    # The narrowest width without a distinguishable loss has four bits, not two; and the cliff lies between them.
    assert found["quantize.no_loss_too"].values["bits"].raw == 4
    assert found["quantize.cliff"].values["narrow"].raw == 2
    # The same counts without the pictures: nothing is seen, and the sentence says what it rests on.
    for model in (results["train"], *results["quantize"]["widths"]):
        del model["correctness"]
    blind = find_all(results)
    assert "quantize.cost" not in blind
    assert blind["quantize.free"].values["basis"].raw["kind"] == "not_recorded"
    assert "quantize.no_cliff" in blind


@pytest.mark.parametrize(("num_lost", "key"), [(5, "quantize.free"), (6, "quantize.cost")])
def test_the_exact_test_decides(num_lost: int, key: str) -> None:
    # p = 0.0625 and 0.031.
    assert key in find_all(lose_by_width(num_lost, num_lost, num_lost))


@pytest.mark.parametrize(
    "change",
    [
        lambda results: set_right(results["compress"], FLOAT >> 10),
        lambda results: set_right(results["step_by_step"], FLOAT >> 10),
        lambda results: set_right(results["control_unpruned"], FLOAT >> 10),
    ],
    ids=["final", "compare", "control"],
)
def test_wherever_two_models_meet_they_are_paired(change: Callable[[Results], None]) -> None:
    results = build_results()
    for result in results.values():
        set_right(result, FLOAT)
    alike = find_all(results)
    assert {"final.same", "compare.accuracy_same", "control_unpruned.same"} <= set(alike)
    change(results)
    differing = {"final.lower", "compare.accuracy_one_shot", "control_unpruned.higher"} & set(find_all(results))
    assert len(differing) == 1


def test_pictures_that_are_not_the_same_are_not_paired() -> None:
    results = lose_by_width(0, 0, 0)
    set_right(results["compress"], FLOAT >> 10, "another data set")
    assert find_all(results)["final.same"].values["basis"].raw["kind"] == "other_pictures"


def test_what_a_comparison_rests_on_is_said_in_both_languages() -> None:
    for lost in (0, 10, 40):
        results = lose_by_width(lost, lost, lost)
        for finding in find_all(results).values():
            if "basis" in finding.values:
                assert finding.say(ENGLISH)
                assert finding.say(PERSIAN)


def test_a_model_that_is_not_sound_is_called_that_whatever_its_size() -> None:
    results = build_results()
    assert analyse_health(read_evidence(build_facts(results))) == []
    sound = SICK | {"problems": []}
    for result in (*results.values(), *results["quantize"]["widths"]):
        result["health"] = sound
    assert analyse_health(read_evidence(build_facts(results))) == []
    results["compress"]["health"] = SICK
    results["quantize"]["widths"][2]["health"] = SICK
    results["control_random"]["health"] = SICK
    findings = analyse_health(read_evidence(build_facts(results)))
    assert [finding.key for finding in findings] == [f"health.{problem}" for problem in SICK["problems"]] * 3
    assert findings[0].values["class"].raw == "Bag"
    assert findings[-1].values["model"].raw == 2
    for finding in findings:
        assert finding.say(ENGLISH)
        assert finding.say(PERSIAN)
        assert finding.source.endswith("health`")


def set_times(results: Results, after: list[float], before: list[float], **load: Any) -> None:
    channels = results["channels"]
    channels["latency"] |= {"median_interval_ms": after, "run_id": "r", "load": load}
    channels["baseline_latency"] |= {"median_interval_ms": before, "run_id": "r"}


def test_a_network_is_called_faster_only_where_the_intervals_of_its_times_are_apart() -> None:
    results = build_results()
    set_times(results, [3.9, 4.1], [7.0, 9.0], is_busy=False)
    assert "channels.faster" in find_all(results)
    set_times(results, [3.0, 7.5], [7.0, 9.0], is_busy=False)
    assert "channels.as_fast" in find_all(results)
    results["channels"]["latency"]["run_id"] = "another"
    assert not {"channels.faster", "channels.as_fast", "channels.slower"} & set(find_all(results))


@pytest.mark.parametrize(("cores", "key"), [(0.9, "channels.busy"), (None, "channels.jostled")])
def test_times_taken_beside_others_are_called_that(cores: float | None, key: str) -> None:
    results = build_results()
    set_times(results, [3.9, 4.1], [7.0, 9.0], is_busy=True, other_cores=cores)
    finding = find_all(results)[key]
    assert finding.say(ENGLISH)
    assert finding.say(PERSIAN)
