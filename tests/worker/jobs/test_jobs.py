from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.errors import InvalidModel
from tests.variants import SEED
from tests.worker.jobs.conftest import MODEST_DROP, TRAIN, FakeContext, Shop, is_epoch
from worker.catalog import Effort
from worker.compression_plan import PLANS, CompressionPlan, QatStage
from worker.controls import ControlKind
from worker.core.checkpoint import load_checkpoint, load_compressed
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.progress import JobCancelled, Progress

PRUNE = {"kind": "prune", "model_id": "mdl_0", "seed": SEED}
GRADUAL = PRUNE | {"schedule": "linear", "steps": 3, "sparsity": 0.6}
QUANTIZE = {"kind": "quantize", "model_id": "mdl_0", "epochs": 1, "seed": SEED}
COMPRESS = {
    "kind": "compress", "model_id": "mdl_0", "effort": "quick", "max_accuracy_drop": MODEST_DROP, "seed": SEED,
}  # fmt: skip


NUM_VALIDATION = 150
"""Pictures of digits."""


class Killed(Exception):
    """Stands for the end of a worker's process."""


def kill_at(shop: Shop, spec: dict[str, Any], reached: Callable[[Progress], bool]) -> FakeContext:
    """A first attempt of `job` that dies with the report that `reached` is true of."""

    def die(progress: Progress) -> None:
        if reached(progress):
            raise Killed

    context = shop.open("job")
    context.on_report = die
    with pytest.raises(Killed):
        run_spec(parse_spec(spec), context)
    return context


def count_correct(model: torch.nn.Module) -> int:
    """On the test set of digits, by a loop of the test's own."""
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=SEED)
    with torch.no_grad():
        predicted = model((data.test.images.float() / 255 - data.mean[0]) / data.std[0]).argmax(1)
    return int((predicted == data.test.labels).sum())


def check_products(outcome: JobOutcome, context: FakeContext) -> dict[str, Any]:
    """Asserts what holds for every kind; returns the result as JSON gives it back."""
    result: dict[str, Any] = json.loads(json.dumps(outcome.result, allow_nan=False))
    assert outcome.output_model_id in context.models
    for name in context.artifacts:
        content = (context.folder / name).read_bytes()
        assert content.startswith(b"\x89PNG") if name.endswith(".png") else len(content) > 100
    assert sum(map(sum, result["confusion_matrix"])) == 360
    percents = [report.percent for report in context.reports if report.percent is not None]
    assert percents == sorted(percents)
    assert 0 <= percents[0] <= percents[-1] <= 100
    return result


def test_train_stores_the_best_epoch_and_measures_what_it_stored(
    trained: tuple[Shop, JobOutcome, FakeContext],
) -> None:
    _, outcome, context = trained
    result = check_products(outcome, context)
    assert [record["epoch"] for record in result["history"]] == [1, 2, 3]
    path, summary = context.models["mdl_0"]
    model, info = load_checkpoint(path)
    test = result["evaluation"]["test"]
    assert (test["num_correct"], test["num_examples"]) == (count_correct(model), 360)
    assert test["accuracy"] > 0.5  # one in ten by chance
    assert (info.widths, summary["widths"]) == ((4, 8, 16), [4, 8, 16])
    assert summary["size"]["reference_bytes"] == path.stat().st_size
    assert result["accuracy_drop"] is None


@pytest.mark.slow
def test_one_shot_pruning_finds_the_edge_of_the_drop(modest: Shop) -> None:
    outcome, context = modest.run("prune", **PRUNE, max_accuracy_drop=MODEST_DROP)
    result = check_products(outcome, context)
    curve = result["curve"]
    assert [point["sparsity"] for point in curve] == sorted(point["sparsity"] for point in curve)
    within = [point for point in curve if point["drop"] <= MODEST_DROP]
    assert result["chosen"] in within
    assert result["chosen"]["sparsity"] == max(point["sparsity"] for point in within) > 0.05
    assert context.epochs == []
    model, _ = load_checkpoint(context.models[str(outcome.output_model_id)][0])
    assert result["evaluation"]["test"]["num_correct"] == count_correct(model)


@pytest.mark.slow
def test_a_given_sparsity_is_reached_step_by_step_and_survives_retraining(shop: Shop) -> None:
    outcome, context = shop.run("prune", **GRADUAL)
    result = check_products(outcome, context)
    assert [point["sparsity"] for point in result["curve"]] == pytest.approx([0.2, 0.4, 0.6], abs=1e-3)
    assert result["sparsity"]["total"] == pytest.approx(0.6, abs=1e-3)
    assert len(context.epochs) == 3
    assert [point["retrained_epochs"] for point in result["curve"]] == [1, 2, 3]
    for step, point in zip(result["history"], result["curve"], strict=True):
        assert step["sparsity"] == point["sparsity"]
        # Counted twice, the second time from what was stored: a picture near a tie may fall on either side.
        (epoch,) = step["epochs"]
        assert abs(epoch["validation_accuracy"] - point["accuracy"]) * NUM_VALIDATION <= 1.5


@pytest.mark.slow
def test_sparsity_zero_is_the_same_retraining_without_pruning(shop: Shop) -> None:
    outcome, context = shop.run("prune", **GRADUAL | {"sparsity": 0})
    result = check_products(outcome, context)
    assert len(context.epochs) == result["chosen"]["retrained_epochs"] == 3
    # Adjacent pixels at the edge of the digits are always black: weights on them may be zero, but none was removed.
    assert result["sparsity"]["total"] < 0.001


@pytest.mark.slow
def test_channel_pruning_makes_the_network_narrower(shop: Shop) -> None:
    outcome, context = shop.run("prune", **PRUNE, pattern="channels", scope="uniform", sparsity=0.5)
    result = check_products(outcome, context)
    assert result["widths"] == [2, 4, 8]
    # 28² x 2 x 9 + 14² x 4 x 2 x 9 + 4 x 7² x 8 + 8 x 10.
    assert result["macs"] == 14_112 + 14_112 + 1568 + 80
    assert result["macs"] < result["baseline_macs"]


@pytest.mark.slow
def test_quantize_measures_every_width_and_hands_back_the_narrowest_within_the_drop(modest: Shop) -> None:
    shop = modest
    outcome, context = shop.run("quantize", **QUANTIZE, bit_widths=[8, 4, 2], max_accuracy_drop=MODEST_DROP)
    result = check_products(outcome, context)
    assert [row["bit_width"] for row in result["widths"]] == [8, 4, 2]
    for row in result["widths"]:
        layers = row["layer_sparsity"]
        assert sum(one["zeros"] for one in layers) / sum(one["total"] for one in layers) == row["sparsity"]
        model, network = load_compressed(context.models[row["model_id"]][0])
        assert row["evaluation"]["test"]["num_correct"] == count_correct(model)
        assert all(layer.bit_width == row["bit_width"] for layer in network.layers)
        assert row["file_bytes"] == context.models[row["model_id"]][0].stat().st_size
    allowed = [row["bit_width"] for row in result["widths"] if row["accuracy_drop"]["validation"] <= MODEST_DROP]
    assert result["bit_width"] == min(allowed)


@pytest.mark.slow
def test_calibration_alone_needs_no_epoch(shop: Shop) -> None:
    outcome, context = shop.run("quantize", **QUANTIZE, bit_widths=[8], mode="post_training")
    result = check_products(outcome, context)
    assert context.epochs == []
    # Half a step of 8 bits turns a few pictures; a layer calibrated wrongly would leave nothing.
    assert abs(result["accuracy_drop"]["test"]) <= 10


@pytest.mark.slow
def test_a_width_out_of_reach_is_told_as_a_warning(shop: Shop) -> None:
    spec = QUANTIZE | {"bit_widths": [8, 4], "mode": "post_training"}
    _, within = shop.run("within", **spec, max_accuracy_drop=100)
    path, summary = shop.models["mdl_0"]
    # As if it had made no mistake when it was stored: it makes some.
    perfect = summary["evaluation"]["validation"] | {"num_correct": 150, "accuracy": 1.0}
    shop.models["mdl_0"] = (path, {**summary, "evaluation": {**summary["evaluation"], "validation": perfect}})
    outcome, beyond = shop.run("beyond", **spec, max_accuracy_drop=0)
    assert outcome.result["bit_width"] == 8
    assert len(beyond.warnings) == len(within.warnings) + 1


@pytest.fixture(scope="session")
def compressed(
    forgetful: tuple[Path, Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[JobOutcome, FakeContext]:
    """A compress job that nobody disturbed, from the forgetful model."""
    shop = Shop(tmp_path_factory.mktemp("compressed"))
    shop.models["mdl_0"] = forgetful
    return shop.run("compress", **COMPRESS)


@pytest.mark.slow
def test_compress_hands_back_the_file_it_measured(compressed: tuple[JobOutcome, FakeContext]) -> None:
    outcome, context = compressed
    result = check_products(outcome, context)
    path = context.models[str(outcome.output_model_id)][0]
    model, _ = load_compressed(path)
    assert result["evaluation"]["test"]["num_correct"] == count_correct(model)
    assert result["file_bytes"] == path.stat().st_size == result["chosen"]["num_bytes"]
    within = [candidate for candidate in result["candidates"] if candidate["safe"]]
    assert result["chosen"]["num_bytes"] == min(candidate["num_bytes"] for candidate in within)
    sizes = [point["num_bytes"] for point in result["front"]]
    accuracies = [point["accuracy"] for point in result["front"]]
    assert sizes == sorted(sizes)
    assert accuracies == sorted(accuracies)
    assert result["compression_ratio"] > 4
    # What "safe" means can be checked from the result alone.
    for one in result["candidates"]:
        assert one["safe"] == (one["within"] and one["drop_bound"] <= MODEST_DROP)
    narrowed = {"technique": "channel_pruning", "widths_before": [4, 8, 16], "widths_after": result["widths"]}
    assert narrowed in result["applied"]
    assert f"channel pruning, hidden widths 4-8-16 to {'-'.join(map(str, result['widths']))}" in result["techniques"]
    # Rounding for fewer bits goes on from the smallest file that training alone reached.
    trained = [one["num_bytes"] for one in within if one["trade_off"] is None]
    assert result["chosen"]["trade_off"] is not None
    assert result["chosen"]["num_bytes"] < min(trained)
    # The walk from the checkpoint to the file misses no step, and ends at what is stored.
    walk = result["ablation"]
    assert walk[0]["bytes_before"] == result["size"]["reference_bytes"]
    assert [row["bytes_after"] for row in walk[:-1]] == [row["bytes_before"] for row in walk[1:]]
    assert [row["accuracy_after"] for row in walk[:-1]] == [row["accuracy_before"] for row in walk[1:]]
    assert walk[-1]["bytes_after"] == result["file_bytes"]
    assert walk[-1]["accuracy_after"] == result["evaluation"]["validation"]["accuracy"]
    # Coding the integers loses nothing.
    coded, packed = (next(row for row in walk[2:] if row["measure"] == "file"), walk[1])
    assert packed["measure"] == "packed"
    assert coded["bytes_after"] < coded["bytes_before"] == packed["bytes_after"]
    assert coded["accuracy_after"] == coded["accuracy_before"]


@pytest.mark.slow
def test_a_compress_job_killed_while_rounding_measures_no_file_twice(
    modest: Shop, compressed: tuple[JobOutcome, FakeContext]
) -> None:
    """That there is rounding is certain: what was trained leaves room for it, as its baseline is modest.

    Which file is the second rounded one is read from a run that nobody disturbed.
    """
    whole, _ = compressed
    rounded = [number for number, one in enumerate(whole.result["candidates"], 1) if one["trade_off"] is not None]
    first = kill_at(
        modest, COMPRESS, lambda progress: "file_bytes" in progress.metrics and progress.metrics_step == rounded[1]
    )
    measured = read_times(first)
    assert len(measured) > rounded[1]

    outcome, second = modest.run("job", **COMPRESS)
    assert second.epochs == []
    kept = read_times(second)
    assert kept == kept | measured
    assert len(kept) >= len(measured) + len(rounded) - 2
    assert outcome.result["candidates"] == whole.result["candidates"]
    assert [one["num_bytes"] for one in outcome.result["candidates"][: rounded[1]]] == [
        int(one.metrics["file_bytes"]) for one in first.reports if "file_bytes" in one.metrics
    ]


def read_times(context: FakeContext) -> dict[str, int]:
    """When each finished step in the scratch folder was written."""
    return {path.name: path.stat().st_mtime_ns for path in context.scratch.glob("*/*.step")}


TINY = CompressionPlan(
    2,
    (QatStage(0.5, 2, 0.04), QatStage(0.98, 2, 0.03, is_plain=True)),
    refinements=2,
    teacher_epochs=3,
    max_shift=1,
    channel_sparsity=0.2,
)


@pytest.mark.slow
def test_a_longer_plan_trains_its_teacher_on_and_says_so(modest: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, Effort.STANDARD, TINY)
    spec = COMPRESS | {"effort": "standard"}
    kill_at(modest, spec, lambda progress: is_epoch(progress, "teacher_") and progress.metrics_step == 2)
    outcome, second = modest.run("job", **spec)
    assert second.count_epochs("teacher_") == [3]
    percents = [progress.percent for progress in second.reports if progress.percent is not None]
    assert percents == sorted(percents)
    rows = outcome.result["ablation"]
    assert all(row["bytes_after"] == after["bytes_before"] for row, after in pairwise(rows))
    applied = {one["technique"]: one for one in outcome.result["applied"]}
    walked = [one["technique"] for row in rows for one in row["applied"]]
    assert ("trained_teacher" in applied) == ("trained_teacher" in walked)
    # Every rung after the first sees plain pictures, two epochs each.
    count = 2 * max(0, walked.count("weight_pruning") - 1)
    assert applied.get("plain_pictures", {}).get("epochs", 0) == count


@pytest.mark.slow
def test_an_attempt_with_another_plan_takes_no_step_of_the_one_before(
    modest: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_at(modest, COMPRESS, lambda progress: is_epoch(progress, "rung0_"))
    monkeypatch.setitem(PLANS, Effort.QUICK, TINY)
    _, second = modest.run("job", **COMPRESS)
    assert second.count_epochs("narrow_") == [1, 2]
    assert second.count_epochs("rung0_") == [1, 2]


@pytest.mark.slow
def test_the_controls_of_compress_differ_from_it_in_one_thing_each(modest: Shop) -> None:
    outcome, context = modest.run("compress", **COMPRESS, controls=True)
    result = check_products(outcome, context)
    chosen, (unpruned, random, small) = result["chosen"], result["controls"]
    assert [control["name"] for control in result["controls"]] == ["not pruned", "pruned at random", "small dense"]
    assert [control["kind"] for control in result["controls"]] == list(ControlKind)
    # Not pruned: what is zero is what rounding makes so.
    assert unpruned["sparsity"] < chosen["sparsity"]
    assert unpruned["num_bytes"] > chosen["num_bytes"]
    # At random: as sparse, and as narrow.
    assert random["sparsity"] >= chosen["sparsity"] - 0.001
    assert random["widths"] == unpruned["widths"] == result["widths"]
    assert small["num_bytes"] == pytest.approx(chosen["num_bytes"], rel=0.5)
    assert small["sparsity"] < chosen["sparsity"]
    # As many epochs as the two rungs have, the small one those of the narrowing besides, twice over.
    assert (unpruned["epochs"], random["epochs"], small["epochs"]) == (12, 12, 27)
    for control in result["controls"]:
        assert control["test_accuracy"] * 360 == pytest.approx(round(control["test_accuracy"] * 360))


@pytest.mark.slow
@pytest.mark.parametrize("spec", [GRADUAL, QUANTIZE | {"bit_widths": [8, 4]}, COMPRESS], ids=lambda spec: spec["kind"])
def test_a_killed_job_goes_on_from_its_finished_steps(
    modest: Shop, spec: dict[str, Any], compressed: tuple[JobOutcome, FakeContext]
) -> None:
    shop = modest
    whole, undisturbed = compressed if spec is COMPRESS else shop.run("undisturbed", **spec)
    first = shop.open("killed")

    def die(progress: Progress) -> None:
        # In the step after the one that brought the last epoch but one.
        if len(first.epochs) >= len(undisturbed.epochs) - 1 and not progress.message:
            raise Killed

    first.on_report = die
    with pytest.raises(Killed):
        run_spec(parse_spec(spec), first)
    again, second = shop.run("killed", **spec)
    assert 0 < len(second.epochs) < len(undisturbed.epochs)
    assert again.result["evaluation"]["test"] == whole.result["evaluation"]["test"]


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_epoch(shop: Shop) -> None:
    first = shop.open("killed")

    def die(progress: Progress) -> None:
        if progress.epoch == 2 and not progress.message:
            raise Killed

    first.on_report = die
    with pytest.raises(Killed):
        run_spec(parse_spec(TRAIN), first)
    outcome, second = shop.run("killed", **TRAIN)
    assert second.count_epochs("") == [2, 3]
    assert outcome.result["evaluation"] == shop.models["mdl_0"][1]["evaluation"]


@pytest.mark.slow
@pytest.mark.parametrize("spec", [PRUNE, QUANTIZE, COMPRESS], ids=lambda spec: spec["kind"])
def test_a_quantized_model_is_no_start(shop: Shop, spec: dict[str, Any]) -> None:
    outcome, _ = shop.run("quantize-first", **QUANTIZE, bit_widths=[8], mode="post_training")
    with pytest.raises(InvalidModel) as error:
        shop.run("second", **spec | {"model_id": outcome.output_model_id})
    assert error.value.field == "model_id"


@pytest.mark.slow
@pytest.mark.parametrize("spec", [TRAIN, GRADUAL, QUANTIZE, COMPRESS], ids=lambda spec: spec["kind"])
def test_a_cancel_passes_through(shop: Shop, spec: dict[str, Any]) -> None:
    context = shop.open("cancelled")

    def cancel(progress: Progress) -> None:
        if progress.epoch == 1:
            raise JobCancelled

    context.on_report = cancel
    with pytest.raises(JobCancelled):
        run_spec(parse_spec(spec), context)
    assert set(context.models) == {"mdl_0"}
