"""Each way in which a file may write an operation: read as that operation, and computed as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tests.worker.importing.onnx_files import Draft, Node, Tensors, draw, end, finish
from tests.worker.network.reference import compute
from worker.importing.onnx_weights import load_onnx
from worker.network.importers.onnx_file import OnnxNetwork
from worker.network.operations import NAMES
from worker.network.operations.base import InvalidNetwork


def import_and_compare(draft: Draft, path: Path) -> OnnxNetwork:
    """Reads the file; what the record computes must be what ONNX Runtime does."""
    path.write_bytes(draft.write())
    found, arrays = load_onnx(path)
    batch = draft.input_dims[0] if isinstance(draft.input_dims[0], int) else 3
    pictures = np.random.default_rng(1).normal(0, 2, (batch, *found.network.input_shape)).astype(np.float32)
    expected = onnxruntime.InferenceSession(path).run(None, {"x": pictures})[0]
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    computed = compute(found.network, weights, torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)
    return found


def list_kinds(found: OnnxNetwork) -> list[str]:
    """The operations between the first convolution and the pooling at the end."""
    return [NAMES[type(node.operation)] for node in found.network.nodes][1:-3]


def number(value: float) -> Any:
    return np.array(value, np.float32)


def integers(*values: int) -> Any:
    return np.array(values, np.int64)


GELU: list[Node] = [("Div", ["c", "r"], "e1"), ("Erf", ["e1"], "e2"), ("Add", ["e2", "one"], "e3")]
ERF: Tensors = {"r": number(2**0.5), "one": number(1), "half": number(0.5)}
HARD: list[Node] = [("Add", ["c", "three"], "h1"), ("Clip", ["h1", "zero", "six"], "h2")]
BOUNDS: Tensors = {"three": number(3), "zero": number(0), "six": number(6), "sixth": number(1 / 6)}
STATISTICS: Tensors = {
    "bn.weight": draw(4),
    "bn.bias": draw(4, seed=1),
    "m": draw(4, seed=2),
    "v": np.abs(draw(4, seed=3)),
}
NORM = ["bn.weight", "bn.bias", "m", "v"]

WAYS = {
    "relu": (finish([("Relu", ["c"], "a")], "a"), ["relu"]),
    "relu as clip": (finish([("Clip", ["c", "zero"], "a")], "a", **BOUNDS), ["relu"]),
    "relu6": (finish([("Clip", ["c", "zero", "six"], "a")], "a", **BOUNDS), ["relu6"]),
    "relu6 of old": (finish([("Clip", ["c"], "a", {"min": 0.0, "max": 6.0})], "a").change(opset=9), ["relu6"]),
    "relu of old": (finish([("Clip", ["c"], "a", {"min": 0.0})], "a").change(opset=9), ["relu"]),
    "leaky relu": (finish([("LeakyRelu", ["c"], "a", {"alpha": 0.2})], "a"), ["leaky_relu"]),
    "sigmoid": (finish([("Sigmoid", ["c"], "a")], "a"), ["sigmoid"]),
    "hard sigmoid": (finish([("HardSigmoid", ["c"], "a", {"alpha": 1 / 6})], "a"), ["hard_sigmoid"]),
    "hard sigmoid, /": (finish([*HARD, ("Div", ["h2", "six"], "a")], "a", **BOUNDS), ["hard_sigmoid"]),
    "hard sigmoid, *": (finish([*HARD, ("Mul", ["sixth", "h2"], "a")], "a", **BOUNDS), ["hard_sigmoid"]),
    "hard swish": (finish([("HardSwish", ["c"], "a")], "a"), ["hard_swish"]),
    "hard swish, x h": (
        finish([("HardSigmoid", ["c"], "h", {"alpha": 1 / 6}), ("Mul", ["c", "h"], "a")], "a"),
        ["hard_swish"],
    ),
    "hard swish, x(..)/6": (
        finish([*HARD, ("Mul", ["c", "h2"], "h3"), ("Div", ["h3", "six"], "a")], "a", **BOUNDS),
        ["hard_swish"],
    ),
    "hard swish, x(../6)": (
        finish([*HARD, ("Div", ["h2", "six"], "h3"), ("Mul", ["h3", "c"], "a")], "a", **BOUNDS),
        ["hard_swish"],
    ),
    "silu": (finish([("Sigmoid", ["c"], "s"), ("Mul", ["c", "s"], "a")], "a"), ["silu"]),
    "silu and its sigmoid": (
        finish([("Sigmoid", ["c"], "s"), ("Mul", ["s", "c"], "b"), ("Add", ["b", "s"], "a")], "a"),
        ["sigmoid", "silu", "add"],
    ),
    "gelu": (finish([("Gelu", ["c"], "a")], "a"), ["gelu"]),
    "gelu, (x e)/2": (
        finish([*GELU, ("Mul", ["c", "e3"], "e4"), ("Mul", ["e4", "half"], "a")], "a", **ERF),
        ["gelu"],
    ),
    "gelu, (x/2) e": (
        finish([*GELU, ("Mul", ["c", "half"], "e4"), ("Mul", ["e4", "e3"], "a")], "a", **ERF),
        ["gelu"],
    ),
    "batch norm": (
        finish([("BatchNormalization", ["c", *NORM], "a", {"epsilon": 1e-3})], "a", **STATISTICS),
        ["batch_norm"],
    ),
    "add": (finish([("Relu", ["c"], "r"), ("Add", ["r", "c"], "a")], "a"), ["relu", "add"]),
    "sum": (finish([("Relu", ["c"], "r"), ("Sum", ["r", "c"], "a")], "a"), ["relu", "add"]),
    "add of nothing": (finish([("Add", ["c", "zero"], "a")], "a", **BOUNDS), []),
    "gate": (
        finish([("GlobalAveragePool", ["c"], "p"), ("Sigmoid", ["p"], "s"), ("Mul", ["s", "c"], "a")], "a"),
        ["adaptive_average_pool", "sigmoid", "multiply"],
    ),
    "concat": (
        finish([("Relu", ["c"], "r"), ("Concat", ["r", "c", "r"], "a", {"axis": 1})], "a", 12),
        ["relu", "concatenate"],
    ),
    "concat from behind": (
        finish([("Relu", ["c"], "r"), ("Concat", ["r", "c"], "a", {"axis": -3})], "a", 8),
        ["relu", "concatenate"],
    ),
    "identity and dropout": (finish([("Identity", ["c"], "i"), ("Dropout", ["i"], "a")], "a"), []),
    "max pool": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]})], "a"),
        ["max_pool"],
    ),
    "max pool, rounded up": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})], "a"),
        ["max_pool"],
    ),
    "max pool of all": (finish([("GlobalMaxPool", ["c"], "a")], "a"), ["max_pool"]),
    "average pool": (
        finish([("AveragePool", ["c"], "a", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})], "a"),
        ["average_pool"],
    ),
    "average pool, zeros too": (
        finish(
            [("AveragePool", ["c"], "a", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1})], "a"
        ),
        ["average_pool"],
    ),
    "average pool, rounded up": (
        finish(
            [("AveragePool", ["c"], "a", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})],
            "a",
        ),
        ["average_pool"],
    ),
    "average pool, same": (
        finish([("AveragePool", ["c"], "a", {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"})], "a"),
        ["average_pool"],
    ),
    "mean that keeps": (
        finish([("ReduceMean", ["c", "axes"], "a", {"keepdims": 1})], "a", axes=integers(2, 3)),
        ["adaptive_average_pool"],
    ),
    "every second pixel": (
        finish(
            [("Slice", ["c", "from", "to", "axes", "steps"], "a")],
            "a",
            **{"from": integers(0, 0), "to": integers(9999, 2**62), "axes": integers(2, -1), "steps": integers(2, 3)},
        ),
        ["max_pool"],
    ),
    "every second pixel, an axis at a time": (
        finish(
            [
                ("Slice", ["c", "from", "to", "high", "steps"], "b"),
                ("Slice", ["b", "from", "to", "wide", "steps"], "a"),
            ],
            "a",
            **{"from": integers(0), "to": integers(8), "high": integers(2), "wide": integers(3), "steps": integers(2)},
        ),
        ["max_pool"],
    ),
    "zeros around": (
        finish(
            [("Pad", ["c", "pads"], "p"), ("Conv", ["p", "next.weight"], "a")],
            "a",
            **{"pads": integers(0, 0, 2, 1, 0, 0, 2, 1), "next.weight": draw(4, 4, 3, 3)},
        ),
        ["convolution"],
    ),
    "channels of zeros": (
        finish([("Pad", ["c", "pads"], "a")], "a", 7, pads=integers(0, 1, 0, 0, 0, 2, 0, 0)),
        ["convolution"],
    ),
    "groups, dilation and a step": (
        finish(
            [("Conv", ["c", "next.weight"], "a", {"group": 2, "dilations": [2, 1], "strides": [1, 2]})],
            "a",
            6,
            **{"next.weight": draw(6, 2, 3, 3)},
        ),
        ["convolution"],
    ),
    "a bias behind its convolution": (
        finish(
            [("Conv", ["c", "next.weight"], "b"), ("Add", ["shift", "b"], "a")],
            "a",
            6,
            **{"next.weight": draw(6, 4, 1, 1), "shift": draw(1, 6, 1, 1)},
        ),
        ["convolution"],
    ),
    "constants in nodes": (
        finish(
            [
                ("Constant", [], "axes", {"value_ints": [2, 3]}),
                ("ReduceMean", ["c", "axes"], "a", {"keepdims": 1}),
            ],
            "a",
        ),
        ["adaptive_average_pool"],
    ),
}


@pytest.mark.parametrize(("draft", "kinds"), WAYS.values(), ids=WAYS.keys())
def test_a_way_to_write_an_operation_is_read_as_it(draft: Draft, kinds: list[str], tmp_path: Path) -> None:
    assert list_kinds(import_and_compare(draft, tmp_path / "model.onnx")) == kinds


FLAT: Tensors = {"fc.weight": draw(2, 192), "turned": draw(192, 2), "b": draw(2)}
GEMM = ("Gemm", ["f", "fc.weight", "b"], "y", {"transB": 1})
ENDS: dict[str, list[Node]] = {
    "flatten": [("Flatten", ["x"], "f"), GEMM],
    "reshape by -1": [("Reshape", ["x", "rest"], "f"), GEMM],
    "reshape to a row": [("Reshape", ["x", "row"], "f"), GEMM],
    "reshape by zero": [("Reshape", ["x", "same"], "f"), GEMM],
    "reshape by its own size": [
        ("Shape", ["x"], "s"),
        ("Gather", ["s", "zero"], "n"),
        ("Unsqueeze", ["n", "first"], "u"),
        ("Concat", ["u", "minus"], "t", {"axis": 0}),
        ("Reshape", ["x", "t"], "f"),
        GEMM,
    ],
    "reshape by a piece of its size": [
        ("Shape", ["x"], "s", {"end": 1}),
        ("Concat", ["s", "minus"], "t", {"axis": 0}),
        ("Reshape", ["x", "t"], "f"),
        GEMM,
    ],
    "gemm, turned": [("Flatten", ["x"], "f"), ("Gemm", ["f", "turned", "b"], "y")],
    "gemm of a turned weight": [
        ("Transpose", ["fc.weight"], "w"),
        ("Flatten", ["x"], "f"),
        ("Gemm", ["f", "w", "b"], "y"),
    ],
    "matmul of a weight turned twice": [
        ("Transpose", ["turned"], "t"),
        ("Transpose", ["t"], "w", {"perm": [1, 0]}),
        ("Flatten", ["x"], "f"),
        ("MatMul", ["f", "w"], "y"),
    ],
    "gemm without a bias": [("Flatten", ["x"], "f"), ("Gemm", ["f", "turned"], "y")],
    "matmul": [("Flatten", ["x"], "f"), ("MatMul", ["f", "turned"], "y")],
    "matmul and add": [("Flatten", ["x"], "f"), ("MatMul", ["f", "turned"], "m"), ("Add", ["m", "b"], "y")],
    "add and matmul": [("Flatten", ["x"], "f"), ("MatMul", ["f", "turned"], "m"), ("Add", ["b", "m"], "y")],
}
SIZES: Tensors = {
    "rest": integers(-1, 192),
    "row": integers(3, -1),
    "same": integers(0, -1),
    "zero": np.array(0, np.int64),
    "first": integers(0),
    "minus": integers(-1),
}


@pytest.mark.parametrize("nodes", ENDS.values(), ids=ENDS.keys())
def test_a_way_to_write_a_linear_layer_is_read_as_it(nodes: list[tuple[Any, ...]], tmp_path: Path) -> None:
    draft = Draft(nodes, FLAT | SIZES, input_dims=(3, 3, 8, 8))
    found = import_and_compare(draft, tmp_path / "model.onnx")
    assert [NAMES[type(node.operation)] for node in found.network.nodes] == ["flatten", "linear"]


NORM_OF_ROWS: Tensors = {"g": draw(2, seed=5), "s": draw(2, seed=6), "mean": draw(2, seed=7), "var": np.abs(draw(2))}


@pytest.mark.parametrize("layer", ["matmul", "gemm, turned", "matmul and add"])
def test_a_batch_norm_behind_a_linear_layer_is_folded_into_it(layer: str, tmp_path: Path) -> None:
    *before, (kind, inputs, _, *more) = ENDS[layer]
    norm = ("BatchNormalization", ["l", "g", "s", "mean", "var"], "y", {"epsilon": 1e-3})
    draft = Draft([*before, (kind, inputs, "l", *more), norm], FLAT | SIZES | NORM_OF_ROWS)
    found = import_and_compare(draft, tmp_path / "model.onnx")
    assert [NAMES[type(node.operation)] for node in found.network.nodes] == ["flatten", "linear"]
    assert len(found.notes) == 1


ALIASES: dict[str, list[str]] = {"Identity": [], "Dropout": [], "Flatten": [], "Reshape": ["same"]}
CHANGES: dict[str, tuple[Any, ...]] = {
    "a bias": ("Add", ["m2", "b"], "l"),
    "a bias in front": ("Add", ["b", "m2"], "l"),
    "a batch norm": ("BatchNormalization", ["m2", "g", "s", "mean", "var"], "l"),
}


@pytest.mark.parametrize("is_read_again", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("alias", ALIASES)
def test_a_layer_that_is_read_again_by_another_name_is_left_as_it_is(
    alias: str, change: tuple[Any, ...], is_read_again: bool, tmp_path: Path
) -> None:
    nodes = [
        ("Flatten", ["x"], "f"),
        ("MatMul", ["f", "turned"], "m"),
        (alias, ["m", *ALIASES[alias]], "m1"),
        ("Identity", ["m1"], "m2"),
        change,
        ("Add", ["l", "m" if is_read_again else "l"], "y"),
    ]
    draft = Draft(nodes, FLAT | SIZES | NORM_OF_ROWS)
    if is_read_again:
        with pytest.raises(InvalidNetwork):
            import_and_compare(draft, tmp_path / "model.onnx")
    else:
        import_and_compare(draft, tmp_path / "model.onnx")


def test_a_convolution_that_is_read_again_by_another_name_is_left_as_it_is(tmp_path: Path) -> None:
    nodes = [("Conv", ["c", "again"], "a1"), ("Identity", ["a1"], "a2"), ("Add", ["a2", "shift"], "a3")]
    tensors = {"again": draw(4, 4, 1, 1), "shift": draw(4, 1, 1)}
    import_and_compare(finish(nodes, "a3", **tensors), tmp_path / "model.onnx")
    again = [*nodes, ("Add", ["a3", "a1"], "a")]
    with pytest.raises(InvalidNetwork):
        import_and_compare(finish(again, "a", **tensors), tmp_path / "model.onnx")


@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_mean_over_a_picture_ends_flat_or_as_one_pixel(keepdims: int, tmp_path: Path) -> None:
    nodes = [("ReduceMean", ["x"], "p", {"axes": [-1, -2], "keepdims": keepdims}), ("Flatten", ["p"], "f")]
    tensors = {"fc.weight": draw(2, 3), "b": draw(2)}
    import_and_compare(Draft([*nodes, GEMM], tensors, opset=13), tmp_path / "model.onnx")


def test_squeezed_pixels_are_flat(tmp_path: Path) -> None:
    nodes = [("GlobalAveragePool", ["x"], "p"), ("Squeeze", ["p", "axes"], "f"), GEMM]
    tensors = {"fc.weight": draw(2, 3), "b": draw(2), "axes": integers(2, 3)}
    import_and_compare(Draft(nodes, tensors), tmp_path / "model.onnx")


@pytest.mark.parametrize(("kind", "code"), [(np.float16, 10), (np.float64, 11)])
def test_weights_of_other_floats_become_float32_and_it_is_said(kind: Any, code: int, tmp_path: Path) -> None:
    draft = finish([("Relu", ["c"], "a")], "a")
    tensors = {name: value.astype(kind) for name, value in draft.tensors.items()}
    path = tmp_path / "model.onnx"
    path.write_bytes(draft.change(tensors=tensors, input_type=code).write())
    found, arrays = load_onnx(path)
    assert len(found.notes) == 1
    np.testing.assert_array_equal(arrays["conv.weight"], tensors["conv.weight"].astype(np.float32))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_a_tensor_that_two_layers_share_becomes_one_of_each(tmp_path: Path) -> None:
    nodes = [("Conv", ["c", "again"], "b"), ("Conv", ["b", "again"], "a")]
    found = import_and_compare(finish(nodes, "a", again=draw(4, 4, 3, 3)), tmp_path / "model.onnx")
    assert sum(shape == (4, 4, 3, 3) for shape in found.network.tensors.values()) == 2
    (note,) = found.notes
    assert str(4 * 4 * 3 * 3) in note


@pytest.mark.parametrize(
    "weight", ["forward.weight", "..weight", "conv.bias.weight", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.weight", "n" * 300]
)
def test_a_layer_whose_name_no_module_can_have_gets_another(weight: str, tmp_path: Path) -> None:
    tensors = {weight: draw(4, 3, 3, 3), "fc4.weight": draw(2, 4), "fc.bias": draw(2)}
    found = import_and_compare(Draft([("Conv", ["x", weight], "c"), *end("c", 4)], tensors), tmp_path / "model.onnx")
    assert found.network.nodes[0].name == "convolution_1"


def test_names_are_those_of_the_modules(tmp_path: Path) -> None:
    draft = Draft(
        [("Conv", ["x", "onnx::Conv_7"], "c"), *end("c", 4)],
        {"onnx::Conv_7": draw(4, 3, 3, 3), "fc4.weight": draw(2, 4), "fc.bias": draw(2)},
    )
    model = draft.build()
    model.graph.node[0].name = "/features/features.1/conv/conv.0/conv.0.0/Conv"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    found, _ = load_onnx(path)
    assert list(found.network.tensors) == ["features.1.conv.0.0.weight", "fc4.weight", "fc4.bias"]
