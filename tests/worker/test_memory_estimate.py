"""What a job will hold, told from its spec: the shapes it is told from, how it grows, and how near it is."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from storage.errors import TooMuchMemory
from storage.settings import LEAST_JOB_BYTES, Settings
from worker.catalog import Architecture, DatasetName, Optimizer
from worker.compression_plan import PLANS
from worker.core.compression.teacher import SMALL_NETWORK_SPARSITY
from worker.core.graph import list_layers
from worker.core.models import build_model
from worker.core.training import compute_logits
from worker.engine.local import build_environment
from worker.job_spec import JobSpec
from worker.jobs import SPECS, check_memory, parse_spec
from worker.memory_estimate import (
    EVALUATION_BATCH,
    NARROWED_SHARE,
    Part,
    count_kept,
    count_weights,
    estimate_training,
    find_facts,
    outline_layers,
)
from worker.network.architectures import DEFAULT_WIDTHS, describe_network

WIDTHS = {
    Architecture.FASHION_CNN: (5, 7, 11),
    Architecture.LENET5: (3, 5, 7, 11),
    Architecture.MLP: (17, 5, 3),
    Architecture.RESNET_SMALL: (3, 5, 7, 11),
    Architecture.DEPTHWISE_CNN: (3, 5, 7),
}
FACTOR = 3.0
"""That an estimate may be off by, either way."""


def describe(architecture: Architecture, widths: tuple[int, ...] | None = None) -> Mapping[str, Any]:
    """A stored model's summary, as far as it matters here."""
    shape = [1, 28, 28]
    names = [str(number) for number in range(10)]
    return {"architecture": architecture, "widths": widths or DEFAULT_WIDTHS[architecture], "input_shape": shape,
            "class_names": names}  # fmt: skip


def estimate(kind: str, widths: tuple[int, ...] | None = None, **spec: Any) -> dict[Part, int]:
    architecture = spec.get("architecture", Architecture.FASHION_CNN)
    if SPECS[kind].model_fields.keys() >= {"widths"}:
        spec["widths"] = widths
    else:
        spec = {"model_id": "mdl_0"}
    found = parse_spec({"kind": kind, **spec}).estimate_memory(lambda _id: describe(architecture, widths))
    assert found is not None
    return found.parts


# --- what it is told from


@pytest.mark.parametrize("architecture", Architecture)
@pytest.mark.parametrize("are_default", [False, True])
def test_the_shapes_are_those_of_the_real_network(architecture: Architecture, are_default: bool) -> None:
    widths = None if are_default else WIDTHS[architecture]
    with torch.device("meta"):
        model = build_model(architecture, widths, num_classes=10)
        outputs: dict[str, int] = {}
        for name, layer in list_layers(model).items():
            layer.register_forward_hook(lambda _m, _x, y, name=name: outputs.__setitem__(name, y[0].numel()))
        model.eval()(torch.empty(1, 1, 28, 28))
    shapes = outline_layers(describe_network(architecture, widths, input_shape=(1, 28, 28), num_classes=10))
    real = {(layer.weight.numel(), outputs[name]) for name, layer in list_layers(model).items()}
    assert {(shape.weights, shape.outputs) for shape in shapes} == real
    assert count_weights(shapes) == sum(layer.weight.numel() for layer in list_layers(model).values())


def test_what_is_repeated_here_is_what_the_core_does() -> None:
    assert DatasetName.DIGITS.facts.num_pictures == len(load_digits().target)
    assert inspect.signature(compute_logits).parameters["batch_size"].default == EVALUATION_BATCH
    assert min(SMALL_NETWORK_SPARSITY, *(plan.channel_sparsity for plan in PLANS.values())) >= NARROWED_SHARE


def test_every_kind_that_is_posted_is_estimated_and_those_with_a_file_are_not() -> None:
    for kind in ("train", "prune", "quantize", "compress", "study"):
        assert sum(estimate(kind).values()) > 0
    for spec in ({"kind": "import"}, {"kind": "predict", "model_id": "mdl_0"}):
        assert parse_spec(spec).estimate_memory(lambda _id: {}) is None
    # A model of which too little is known, such as one that an older version has stored.
    assert parse_spec({"kind": "prune", "model_id": "mdl_0"}).estimate_memory(lambda _id: {}) is None


def test_without_a_data_set_the_largest_that_fits_counts() -> None:
    assert find_facts({"input_shape": [3, 32, 32]}, lambda _: {}) == DatasetName.CIFAR10.facts
    assert find_facts({"input_shape": [1, 16, 16]}, lambda _: {}) == DatasetName.USPS.facts
    assert find_facts({}, lambda _: {}) == DatasetName.IMAGENETTE.facts  # 13,394 pictures of 128x128 in colour


def test_what_is_kept_for_the_way_back_is_what_gradients_read() -> None:
    network = describe_network(Architecture.RESNET_SMALL, (2, 3, 4, 5), input_shape=(1, 4, 4))
    kept = {node.name: count for node, count in zip(network.nodes, count_kept(network), strict=True)}
    # A batch norm's output is gone where ReLU keeps its own or a sum follows; a convolution's is what the norm reads.
    assert kept["stem"] == kept["stem_relu"] == 2 * 4
    assert kept["stem_bn"] == kept["bn1b"] == kept["add1"] == kept["flatten"] == 0
    pooled = describe_network(Architecture.FASHION_CNN, (2, 3, 4), input_shape=(1, 4, 4))
    kept = {node.name: count for node, count in zip(pooled.nodes, count_kept(pooled), strict=True)}
    assert (kept["conv1"], kept["bn1"], kept["pool1"], kept["relu1"]) == (32, 32, 2 * 8, 8)


# --- how it grows


@given(batch_size=st.integers(2048, 4096), architecture=st.sampled_from(Architecture))
def test_twice_the_pictures_at_a_time_take_twice_the_room(batch_size: int, architecture: Architecture) -> None:
    once, twice = (
        estimate("train", architecture=architecture, batch_size=size)[Part.BATCHES]
        for size in (batch_size, 2 * batch_size)
    )
    assert twice == 2 * once


@given(width=st.integers(256, 2048))
def test_weights_grow_with_the_square_of_a_width_and_values_with_the_width(width: int) -> None:
    once, twice = (
        estimate("train", (size, size, size), architecture=Architecture.FASHION_CNN) for size in (width, 2 * width)
    )
    assert 3.9 < twice[Part.WEIGHTS] / once[Part.WEIGHTS] <= 4
    assert 1.9 < twice[Part.BATCHES] / once[Part.BATCHES] <= 2


@given(
    kind=st.sampled_from(["train", "prune", "quantize", "compress", "study"]),
    architecture=st.sampled_from(Architecture),
    position=st.integers(0, 2),
    more=st.integers(1, 4000),
)
def test_a_wider_layer_never_takes_less(kind: str, architecture: Architecture, position: int, more: int) -> None:
    widths = list(WIDTHS[architecture])
    before = estimate(kind, tuple(widths), architecture=architecture)
    widths[position] += more
    after = estimate(kind, tuple(widths), architecture=architecture)
    assert all(after[part] >= before[part] for part in Part)


def test_a_batch_has_no_more_pictures_than_there_are() -> None:
    def count(**spec: Any) -> int:
        return estimate("train", architecture=Architecture.RESNET_SMALL, batch_size=8192, **spec)[Part.BATCHES]

    assert count(dataset="digits") < count(dataset="fashion_mnist") / 4
    assert count(max_train_examples=600) < count() / 10


def test_adamw_keeps_more_of_each_weight_than_sgd() -> None:
    of_sgd, of_adamw = (estimate("train", optimizer=optimizer)[Part.WEIGHTS] for optimizer in Optimizer)
    assert of_adamw > of_sgd


# --- what is refused, and by which name


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"kind": "train", "architecture": "fashion_cnn", "widths": [4096] * 3, "batch_size": 1}, "/widths"),
        ({"kind": "train", "architecture": "mlp", "widths": [4096] * 16}, "/widths"),
        ({"kind": "train", "batch_size": 8192}, "/batch_size"),
        ({"kind": "train", "architecture": "resnet_small", "widths": [2048] * 4, "batch_size": 1}, "/widths"),
        ({"kind": "study", "architecture": "fashion_cnn", "widths": [4096] * 3}, "/widths"),
        ({"kind": "compress", "model_id": "mdl_0"}, "/model_id"),
        ({"kind": "quantize", "model_id": "mdl_0"}, "/model_id"),
        ({"kind": "prune", "model_id": "mdl_0"}, "/model_id"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_field_that_it_goes_back_to(spec: dict[str, Any], field: str) -> None:
    parsed: JobSpec = parse_spec(spec)
    large = describe(Architecture.FASHION_CNN, (4096, 4096, 4096))
    with pytest.raises(TooMuchMemory) as raised:
        check_memory(parsed, lambda _id: large, 2 << 30)
    assert raised.value.field == field
    assert check_memory(parsed, lambda _id: large, None) is not None
    assert check_memory(parsed, lambda _id: large, 1 << 50) is not None


@pytest.mark.parametrize("architecture", Architecture)
def test_what_is_offered_fits_in_the_least_that_a_job_may_hold_by_default(architecture: Architecture) -> None:
    for kind in ("train", "study"):
        check_memory(parse_spec({"kind": kind, "architecture": architecture}), lambda _id: {}, LEAST_JOB_BYTES)
    for kind in ("prune", "quantize", "compress"):
        spec = parse_spec({"kind": kind, "model_id": "mdl_0"})
        check_memory(spec, lambda _id: describe(architecture), LEAST_JOB_BYTES)


# --- how near it is: the peak of a real training, without what its process held before

_PROGRAM = """
import json, sys
from pathlib import Path
import torch
from worker.datasets import load_dataset
from worker.dataset_location import DatasetLocation
from worker.core.models import build_model
from worker.core.training import TrainingSettings, fit
def read(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
architecture, widths, batch_size = json.loads(sys.argv[1])
data = load_dataset("digits", DatasetLocation(Path()), 0)
fit(build_model("lenet5"), data, TrainingSettings(1, 0.01))  # what torch loads when it first trains
before = read("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
model = build_model(architecture, widths)
fit(model, data, TrainingSettings(1, 0.01, batch_size=batch_size, precision="float32"))
print(read("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells nothing of memory")
@pytest.mark.parametrize(
    ("architecture", "widths", "batch_size"),
    [("mlp", [4096, 4096], 64), ("fashion_cnn", [64, 64, 64], 1024), ("resnet_small", [64, 64, 64, 64], 1024)],
)
def test_a_real_training_takes_about_what_was_estimated(architecture: str, widths: list[int], batch_size: int) -> None:
    program = [sys.executable, "-c", _PROGRAM, json.dumps([architecture, widths, batch_size])]
    done = subprocess.run(program, env=build_environment(Settings()), capture_output=True, text=True, check=True)
    network = describe_network(architecture, tuple(widths), input_shape=(1, 28, 28), num_classes=10)
    layers = outline_layers(network)
    expected = 4.5 * 4 * count_weights(layers) + estimate_training(layers, batch_size)
    assert expected / FACTOR < int(done.stdout) < expected * FACTOR
