"""A training that does not learn is told in the result and in the warnings of every kind that trains."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worker.jobs.conftest import TRAIN, Shop
from worker.catalog import Effort
from worker.compression_plan import PLANS, CompressionPlan, QatStage
from worker.core.training_log import TrainingLog, describe_trouble
from worker.learning import Attempt, Outcome, Trouble

ABSURD = 10.0
"""A learning rate at which nothing is learned anywhere."""
SHORT = CompressionPlan(
    1, (QatStage(0.5, 1, 0.02), QatStage(0.6, 1, 0.02, is_plain=True)), channel_sparsity=0.2, dense_rate=ABSURD
)


def check_trainings(result: dict[str, Any], warnings: list[str]) -> list[dict[str, Any]]:
    """Asserts that each training in trouble is warned about; returns those."""
    troubled = [one for one in result["trainings"] if one["attempts"][0]["reason"] is not None]
    assert len(warnings) >= len(troubled)
    for training in troubled:
        assert any(line.startswith(training["stage"]) for line in warnings)
        rates = [attempt["learning_rate"] for attempt in training["attempts"]]
        assert 1 <= len(rates) <= 4
        assert max(rates) == rates[0]
    return troubled


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "quantize", "bit_widths": [8], "epochs": 1},
        {"kind": "prune", "schedule": "linear", "steps": 1, "epochs_per_step": 1, "sparsity": 0.1},
    ],
    ids=lambda spec: spec["kind"],
)
def test_a_job_at_an_absurd_rate_ends_with_something_that_knows_the_classes(shop: Shop, spec: dict[str, Any]) -> None:
    outcome, context = shop.run("job", **spec, model_id="mdl_0", learning_rate=ABSURD)
    result: dict[str, Any] = dict(outcome.result)
    (training,) = check_trainings(result, context.warnings)
    assert training["attempts"][0]["learning_rate"] == ABSURD
    assert training["kept"] is None or training["learned"]
    accuracy = result["evaluation"]["validation"]["accuracy"]
    assert accuracy > (training["start_accuracy"] + training["chance_accuracy"]) / 2 - 0.05


@pytest.mark.slow
def test_a_training_without_trouble_is_told_without_a_warning(shop: Shop) -> None:
    outcome, context = shop.run("job", **TRAIN)
    (training,) = outcome.result["trainings"]
    assert (training["stage"], training["learned"], training["kept"]) == ("training", True, 0)
    assert [attempt["learning_rate"] for attempt in training["attempts"]] == [TRAIN["learning_rate"]]
    assert context.warnings == []


@pytest.mark.slow
def test_a_search_whose_trainings_collapse_answers_with_no_more_than_plain_quantization(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANS, Effort.QUICK, SHORT)
    outcome, context = shop.run("job", kind="compress", model_id="mdl_0", max_accuracy_drop=5)
    result: dict[str, Any] = dict(outcome.result)
    assert "narrowing" in {training["stage"] for training in check_trainings(result, context.warnings)}
    chosen = result["chosen"]
    plain = [one for one in result["candidates"] if one["is_plain"]]
    assert {one["bit_width"] for one in plain} >= {2, 8}
    assert all(chosen["num_bytes"] <= one["num_bytes"] for one in plain if one["safe"])
    # The bar never goes back, and the end of the training is not the end of the job.
    percents = [report.percent for report in context.reports if report.percent is not None]
    assert percents == sorted(percents)
    last_epoch = max(number for number, report in enumerate(context.reports) if report.epoch is not None)
    left = [report.eta_s for report in context.reports[last_epoch:] if report.eta_s is not None]
    assert left[0] > 0


def test_what_is_said_of_a_training() -> None:
    well = Outcome((Attempt(0.1, 3, 0.9),), 0, True, 0.1, 0.1)
    gentler = Outcome((Attempt(0.1, 1, None, Trouble.NOT_FINITE), Attempt(0.025, 3, 0.9)), 1, True, 0.1, 0.1)
    nothing = Outcome((Attempt(0.1, 3, 0.1, Trouble.AT_CHANCE),), 0, False, 0.1, 0.1)
    assert describe_trouble("training", well) is None
    assert "0.025" in (describe_trouble("training", gentler) or "")
    assert describe_trouble("training", nothing) is not None


def test_a_step_that_was_kept_before_outcomes_were_is_passed_over(shop: Shop) -> None:
    context = shop.open("job")
    log = TrainingLog(context)
    log.add("8 bit", None)
    assert log.to_json() == []
    assert context.warnings == []
