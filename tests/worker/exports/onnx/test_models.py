"""ONNX Runtime computes of an exported network what is computed here."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import InvalidModel
from tests.worker.exports.integer_networks import compute_logits, draw_integers, draw_layer, draw_pictures
from tests.worker.network.records import CHANNELS, draw_record, records
from tests.worker.network.reference import compute
from worker.catalog import WeightType
from worker.checkpoint_facts import describe_model
from worker.exports.float_network import FloatNetwork, Floats
from worker.exports.onnx.model import write_model
from worker.exports.onnx.operations import WRITERS
from worker.exports.onnx.parameters import choose_weight_type, fold_signs
from worker.exports.onnx.runtime import OnnxProgram
from worker.integer_network import IntegerLayer, IntegerNetwork
from worker.network.operations import OPERATIONS
from worker.network.operations.layers import ChannelAffine
from worker.network.record import Network
from worker.pixels import normalize_pixels

NUM_PICTURES = 3
NUM_NETWORKS = 40


def run_exported(
    network: IntegerNetwork | FloatNetwork, pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], kind: WeightType
) -> Floats:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(write_model(network, kind).SerializeToString())
        return OnnxProgram(path, 1).answer(pictures)


def draw_floats(record: Network, seed: int) -> FloatNetwork:
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in record.tensors.items():
        spread = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.3
        values = rng.normal(0, spread, shape)
        weights[name] = (np.abs(values) + 0.5 if name.endswith("running_var") else values).astype(np.float32)
    names = tuple(f"class {number}" for number in range(record.num_classes))
    return FloatNetwork(record, names, (0.5,), (0.25,), weights)


@pytest.mark.slow
@given(record=records(without=(ChannelAffine,)), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_any_float_network_answers_what_pytorch_answers(record: Network, seed: int) -> None:
    network = draw_floats(record, seed)
    pictures = np.random.default_rng(seed).integers(0, 256, (NUM_PICTURES, *record.input_shape), dtype=np.uint8)
    x = normalize_pixels(torch.from_numpy(pictures), network.mean, network.std).double()
    weights = {name: torch.from_numpy(value).double() for name, value in network.weights.items()}
    wanted = compute(record, weights, x).flatten(1).numpy()
    logits = run_exported(network, pictures, WeightType.FLOAT32)
    assert np.abs(logits - wanted).max() <= 1e-4 * (1 + np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", WeightType)
def test_integer_networks_answer_nearly_the_same(kind: WeightType) -> None:
    # A value that lies between two integers may be rounded to the other one: few are.
    num_near = num_all = 0
    for seed in range(NUM_NETWORKS):
        network = draw_integers(draw_record(Random(seed), CHANNELS, ()), seed)
        pictures = draw_pictures(network, NUM_PICTURES, seed)
        wanted = compute_logits(network, pictures)
        gap = np.abs(run_exported(network, pictures, kind) - wanted)
        num_near += int((gap <= 1e-4 * (1 + np.abs(wanted).max())).sum())
        num_all += gap.size
    assert num_near >= 0.95 * num_all


def test_a_layer_that_reads_pixels_computes_on_the_same_integers() -> None:
    network = draw_integers(describe_model("mlp", (), num_classes=5), seed=3)
    pictures = draw_pictures(network, 8, seed=3)
    for kind in WeightType:
        np.testing.assert_allclose(
            run_exported(network, pictures, kind), compute_logits(network, pictures), rtol=1e-4, atol=1e-4
        )


def test_the_weights_lie_in_the_file_in_their_own_type() -> None:
    network = draw_integers(describe_model("mlp", (64,), num_classes=5), seed=3)
    network = replace(network, layers=tuple(reduce_layer(layer) for layer in network.layers))
    sizes = {kind: len(write_model(network, kind).SerializeToString()) for kind in WeightType}
    num_weights = 28 * 28 * 64 + 64 * 5
    for kind, bits in ((WeightType.INT4, 4), (WeightType.INT8, 8), (WeightType.FLOAT32, 32)):
        assert 0 < sizes[kind] - num_weights * bits // 8 < 5000
    model = onnx.load_model_from_string(write_model(network, WeightType.INT4).SerializeToString())
    assert {one.key: one.value for one in model.metadata_props} == {f"class_{n}": f"class {n}" for n in range(5)}


def reduce_layer(layer: IntegerLayer) -> IntegerLayer:
    """To weights of three bits."""
    return replace(layer, weight=np.clip(layer.weight, -4, 3), bit_width=3)


def test_a_scale_below_zero_turns_the_weights_over() -> None:
    rng = np.random.default_rng(0)
    layer = replace(
        draw_layer("fc", (3, 2), rng),
        weight=np.array([[-128, 5], [-128, 5], [7, -7]], np.int8),
        scale=np.array([-0.5, 0.5, 0.0], np.float32),
    )
    weight, scale = fold_signs(layer)
    assert weight.tolist() == [[127, -5], [-128, 5], [0, 0]]
    assert (scale[:2] == 0.5).all()
    assert scale[2] > 0


def test_a_type_that_cannot_hold_the_weights_is_refused() -> None:
    network = draw_integers(describe_model("mlp", (), num_classes=5), seed=3)
    (layer,) = network.layers
    eight, three = (replace(network, layers=(replace(layer, bit_width=bits),)) for bits in (8, 3))
    assert choose_weight_type(eight, None) is WeightType.INT8
    assert choose_weight_type(three, None) is WeightType.INT4
    assert choose_weight_type(three, WeightType.INT8) is WeightType.INT8
    floats = draw_floats(describe_model("mlp", (), num_classes=5), seed=0)
    assert choose_weight_type(floats, None) is WeightType.FLOAT32
    for refused, kind in ((eight, WeightType.INT4), (floats, WeightType.INT8)):
        with pytest.raises(InvalidModel) as raised:
            choose_weight_type(refused, kind)
        assert raised.value.field == "weight_type"


def test_every_operation_has_its_nodes() -> None:
    assert WRITERS.keys() == set(OPERATIONS.values())
