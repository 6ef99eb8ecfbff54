"""What every job says of the model that it made: whether it is sound, and how sure its drop is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from storage.errors import InvalidModel
from tests.worker.jobs.conftest import FakeContext, Shop
from tests.worker.jobs.test_uploads import rewrite, run_import
from worker.coding import encode_network
from worker.core.checkpoint import load_compressed
from worker.job_spec import JobOutcome

POST_TRAINING: dict[str, Any] = {"kind": "quantize", "model_id": "mdl_0", "mode": "post_training"}


def blind(shop: Shop) -> str:
    """A model on the shelf that answers class 3 to everything: imported, since whoever trains one is in luck."""
    path = shop.models["mdl_0"][0]
    tensors = load_file(path)
    bias = next(name for name in tensors if name.endswith("bias") and len(tensors[name]) == 10)
    weight = bias.removesuffix("bias") + "weight"
    answer = torch.zeros(10)
    answer[3] = 5.0
    content = rewrite(path, shop.folder / "blind", {}, {weight: torch.zeros_like(tensors[weight]), bias: answer})
    outcome, warnings = run_import(shop, content)
    assert len(warnings) == 3
    return str(outcome.output_model_id)


@pytest.mark.slow
def test_a_network_that_answers_one_class_is_called_that_by_every_job(shop: Shop) -> None:
    model_id = blind(shop)
    problems = ["one_class", "chance", "dead_layer"]
    assert shop.models[model_id][1]["health"]["problems"] == problems
    assert shop.models[model_id][1]["health"]["most_answered_class"] == 3
    specs: dict[str, dict[str, Any]] = {
        "quantize": POST_TRAINING | {"bit_widths": [8, 4]},
        "prune": {"kind": "prune", "sparsity": 0.5},
    }
    for name, spec in specs.items():
        outcome, context = shop.run(name, **spec | {"model_id": model_id})
        result: dict[str, Any] = json.loads(json.dumps(outcome.result))
        # The drop is none, and what it is held against is named beside it.
        assert result["accuracy_drop"]["validation"] == 0
        assert result["accuracy_drop"]["baseline_problems"] == result["baseline"]["problems"] == problems
        assert set(result["health"]["problems"]) >= {"one_class", "chance"}
        for row in result["widths"] if name == "quantize" else []:
            assert set(row["health"]["problems"]) >= {"one_class", "chance"}
        assert len(context.warnings) >= 3


def test_a_sound_model_is_given_no_warning(trained: tuple[Shop, JobOutcome, FakeContext]) -> None:
    _, outcome, context = trained
    assert outcome.result["health"]["problems"] == []
    assert context.warnings == []


@pytest.mark.slow
def test_a_model_of_a_version_before_is_judged_by_its_counts(shop: Shop) -> None:
    model_id = blind(shop)
    path, summary = shop.models[model_id]
    old = {name: value for name, value in summary.items() if name not in ("health", "correctness")}
    shop.models["mdl_old"] = (path, old)
    outcome, _ = shop.run("quantize", **POST_TRAINING | {"model_id": "mdl_old", "bit_widths": [8]})
    assert outcome.result["accuracy_drop"]["baseline_problems"] == ["chance"]
    assert {one["basis"] for one in outcome.result["accuracy_drop_interval"].values()} == {"not_recorded"}


@pytest.mark.slow
def test_a_drop_comes_with_its_interval_and_the_pictures_it_rests_on(shop: Shop) -> None:
    outcome, _ = shop.run("quantize", **POST_TRAINING, bit_widths=[8, 2])
    result = json.loads(json.dumps(outcome.result))
    for row in result["widths"]:
        for split, num_examples in (("validation", 150), ("test", 360)):
            drop, interval = row["accuracy_drop"][split], row["accuracy_drop_interval"][split]
            lost, won = interval["only_baseline_right"], interval["only_model_right"]
            assert interval["basis"] == "paired"
            assert drop == pytest.approx(100 * (lost - won) / num_examples)
            assert interval["low"] - 1e-9 <= drop <= interval["high"] + 1e-9


@pytest.mark.slow
def test_a_network_whose_finite_weights_overflow_is_refused(shop: Shop, tmp_path: Path) -> None:
    path = shop.models["mdl_0"][0]
    tensors = load_file(path)
    huge = {name: torch.full_like(value, 3e38) for name, value in tensors.items() if name.endswith("weight")}
    with pytest.raises(InvalidModel):
        run_import(shop, rewrite(path, tmp_path / "huge", {}, huge))
    outcome, _ = shop.run("quantize", **POST_TRAINING, bit_widths=[4])
    _, network = load_compressed(shop.models[str(outcome.output_model_id)][0])
    layers = list(network.layers)
    last = layers[-1]
    layers[-1] = type(last)(**{**vars(last), "scale": last.scale * 0 + 3e38})
    with pytest.raises(InvalidModel):
        run_import(shop, encode_network(type(network)(**{**vars(network), "layers": tuple(layers)})))


@pytest.mark.slow
def test_a_time_says_when_on_what_and_beside_what_it_was_taken(shop: Shop) -> None:
    outcome, context = shop.run("prune", kind="prune", model_id="mdl_0", sparsity=0.5)
    latency, baseline = outcome.result["latency"], outcome.result["baseline_latency"]
    assert latency["run_id"] == baseline["run_id"] != shop.models["mdl_0"][1]["latency"]["run_id"]
    low, high = latency["median_interval_ms"]
    assert 0 < low <= latency["median_ms"] <= high
    assert {"processor", "threads", "device", "measured_at", "load"} <= set(latency)
    # Told where, and only where, the machine was busy.
    assert len(context.machine_warnings) == int(latency["load"]["is_busy"])
