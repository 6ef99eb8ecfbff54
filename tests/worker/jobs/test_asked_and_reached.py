"""What a prune or a train job was asked for stands beside what came of it, and is warned of where they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.worker.jobs.conftest import FakeContext, Shop
from worker.catalog import ArtifactKind
from worker.core.checkpoint import load_checkpoint
from worker.core.measured_model import store_float_model
from worker.core.models import build_model
from worker.core.pruning import apply_pruning
from worker.core.pruning.difference import Difference, describe_difference
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.job_spec import JobOutcome
from worker.model_files import open_baseline, register

Stock = Callable[..., Shop]


@pytest.fixture
def stock(tmp_path: Any) -> Stock:
    """A shop with one network that was never trained, changed as a test likes."""

    def build(
        architecture: str = "fashion_cnn", widths: tuple[int, ...] | None = None, sparsity: float = 0.0, weak: str = ""
    ) -> Shop:
        shop = Shop(tmp_path)
        context = shop.open("stock")
        data = load_dataset("digits", DatasetLocation(context.datasets.root), 0)
        torch.manual_seed(0)
        model = build_model(architecture, widths, input_shape=data.input_shape, num_classes=len(data.class_names))
        if sparsity:
            apply_pruning(model, "magnitude", sparsity)
        if weak:
            with torch.no_grad():
                model.get_parameter(f"{weak}.weight").mul_(1e-4)
        path = context.artifact_path("stock.safetensors", ArtifactKind.CHECKPOINT)
        register(context, store_float_model(path, model.eval(), architecture, data), None)
        return shop

    return build


def prune(shop: Shop, **spec: Any) -> tuple[JobOutcome, FakeContext]:
    return shop.run("prune", kind="prune", model_id="mdl_0", **spec)


@pytest.mark.slow
def test_ranked_together_nine_tenths_asked_are_nine_tenths_reached_though_one_layer_is_weak(stock: Stock) -> None:
    shop = stock(weak="fc1")
    outcome, _ = prune(shop, pattern="channels", scope="global", sparsity=0.9)
    result = outcome.result
    assert result["asked_sparsity"] == 0.9
    assert result["reached_sparsity"] == pytest.approx(0.9, abs=1 / 224)
    assert result["sparsity_difference"] is None
    assert result["curve"][0]["asked_sparsity"] == 0.9


@pytest.mark.slow
def test_the_search_chooses_the_most_that_its_own_curve_holds_within_the_drop(stock: Stock) -> None:
    outcome, _ = prune(stock(weak="fc1"), pattern="channels", scope="global", max_accuracy_drop=100)
    result = outcome.result
    assert result["chosen"]["sparsity"] == max(probe["sparsity"] for probe in result["curve"] if probe["within"])
    assert all(0 < probe["asked_sparsity"] < 1 for probe in result["curve"])


@pytest.mark.slow
def test_a_network_of_single_channels_is_told_that_nothing_could_go(stock: Stock) -> None:
    outcome, context = prune(stock("mlp", (1,)), pattern="channels", scope="uniform", sparsity=0.5)
    assert (outcome.result["asked_sparsity"], outcome.result["reached_sparsity"]) == (0.5, 0.0)
    assert outcome.result["sparsity_difference"] == "nothing_removed"
    assert describe_difference(0.5, 0.0, Difference.NOTHING_REMOVED) in context.warnings


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [{}, {"schedule": "geometric", "steps": 2, "epochs_per_step": 1}])
def test_a_model_sparser_than_asked_stays_so_and_is_told(stock: Stock, schedule: dict[str, Any]) -> None:
    shop = stock("lenet5", sparsity=0.8)
    outcome, context = prune(shop, sparsity=0.5, **schedule)
    assert outcome.result["asked_sparsity"] == 0.5
    assert outcome.result["reached_sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert outcome.result["sparsity_difference"] == "already_sparser"
    reached = outcome.result["reached_sparsity"]
    assert describe_difference(0.5, reached, Difference.ALREADY_SPARSER) in context.warnings
    saved, _ = load_checkpoint(shop.models[outcome.output_model_id or ""][0])
    original = open_baseline(shop.open("look"), "mdl_0").model
    for mine, before in zip(saved.parameters(), original.parameters(), strict=True):
        if before.ndim > 1:
            assert bool((mine[before == 0] == 0).all())


@pytest.mark.slow
def test_a_search_on_a_sparse_model_asks_only_for_more(stock: Stock) -> None:
    outcome, _ = prune(stock("lenet5", sparsity=0.8), max_accuracy_drop=100)
    assert min(probe["asked_sparsity"] for probe in outcome.result["curve"]) > 0.8 - 1e-6


@pytest.mark.slow
def test_steps_of_a_schedule_begin_where_the_model_stands(stock: Stock) -> None:
    outcome, _ = prune(stock("lenet5", sparsity=0.8), sparsity=0.9, schedule="linear", steps=2, epochs_per_step=0)
    asked = [step["asked_sparsity"] for step in outcome.result["history"]]
    assert asked == pytest.approx([0.85, 0.9], abs=1e-4)
    assert outcome.result["sparsity_difference"] is None


@pytest.mark.slow
def test_more_examples_asked_than_there_are(tmp_path: Any) -> None:
    train = {"dataset": "digits", "architecture": "mlp", "widths": [4], "epochs": 1, "learning_rate": 0.05}
    outcome, context = Shop(tmp_path).run("train", kind="train", **train, max_train_examples=1_000_000)
    asked, used = outcome.result["asked_train_examples"], outcome.result["num_train_examples"]
    assert asked == 1_000_000 > used
    assert any(str(asked) in warning and str(used) in warning for warning in context.warnings)
    assert (outcome.result["asked_epochs"], outcome.result["stopped_early"]) == (1, False)
