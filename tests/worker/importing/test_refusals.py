"""What no file may have: refused, the operation or the tensor named."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.worker.importing.onnx_files import Draft, Tensors, draw, end, finish
from worker.importing.onnx_weights import load_onnx
from worker.network.importers.file_kind import EXPORT_LINE, HEAD_BYTES, FileKind, identify_file
from worker.network.importers.onnx_file import MAX_OPSET, MAX_WEIGHTS, MIN_OPSET, TRANSLATORS, parse_onnx
from worker.network.importers.onnx_messages import MAX_ONNX_NODES
from worker.network.importers.onnx_sizes import SIZE_TRANSLATORS
from worker.network.operations.base import InvalidNetwork


def integers(*values: int) -> Any:
    return np.array(values, np.int64)


RELU = finish([("Relu", ["c"], "a")], "a")
STATISTICS: Tensors = {"bn.weight": draw(4), "m": draw(4), "v": np.ones(4, np.float32)}
NORM = ["c", "bn.weight", "m", "m", "v"]
ONE: Any = np.array(1.5, np.float32)
CUT: Tensors = {"from": integers(1), "to": integers(8), "axes": integers(2), "steps": integers(1)}

DRAFTS = {
    "a softmax of a picture": (finish([("Softmax", ["c"], "a")], "a"), "Softmax"),
    "an unknown operation": (finish([("Softsign", ["c"], "a")], "a"), "Softsign"),
    "a transposition": (finish([("Transpose", ["c"], "a", {"perm": [0, 1, 3, 2]})], "a"), "Transpose"),
    "a number added": (finish([("Add", ["c", "n"], "a")], "a", n=ONE), "Add 'node_a'"),
    "a number multiplied": (finish([("Mul", ["c", "n"], "b"), ("Relu", ["b"], "a")], "a", n=ONE), "Mul 'node_b'"),
    "division by zero": (finish([("Div", ["c", "n"], "a")], "a", n=ONE * 0), "Div 'node_a'"),
    "clipping elsewhere": (finish([("Clip", ["c", "n"], "a")], "a", n=ONE), "Clip 'node_a'"),
    "a bound that is computed": (
        finish([("ReduceMax", ["c"], "n", {"keepdims": 0}), ("Clip", ["c", "n"], "a")], "a"),
        "ReduceMax",
    ),
    "parameters outside layers": (
        finish([("Mul", ["c", "layer_scale"], "a")], "a", layer_scale=draw(4, 1, 1)),
        "layer_scale",
    ),
    "a parameter that is added": (finish([("Add", ["c", "shift"], "a")], "a", shift=draw(1, 4, 8, 8)), "shift"),
    "a bias that two read": (
        finish(
            [("Conv", ["c", "w"], "b"), ("Add", ["b", "shift"], "d"), ("Add", ["b", "d"], "a")],
            "a",
            w=draw(4, 4, 1, 1),
            shift=draw(1, 4, 1, 1),
        ),
        "shift",
    ),
    "weights that are computed": (finish([("Conv", ["c", "c"], "a")], "a"), "Conv 'node_a'"),
    "asymmetric padding": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]})], "a"),
        "[0, 0, 1, 1]",
    ),
    "padding that comes out asymmetric": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"})], "a"),
        "[0, 0, 1, 1]",
    ),
    "an asymmetric Pad": (
        finish(
            [("Pad", ["c", "pads"], "p"), ("Conv", ["p", "w"], "a")],
            "a",
            pads=integers(0, 0, 0, 0, 0, 0, 1, 1),
            w=draw(4, 4, 2, 2),
        ),
        "[0, 0, 1, 1]",
    ),
    "a Pad before anything else": (
        finish([("Pad", ["c", "pads"], "p"), ("Relu", ["p"], "a")], "a", pads=integers(0, 0, 1, 1, 0, 0, 1, 1)),
        "Relu 'node_a'",
    ),
    "a Pad that mirrors": (
        finish([("Pad", ["c", "pads"], "a", {"mode": "reflect"})], "a", pads=integers(0, 0, 1, 1, 0, 0, 1, 1)),
        "reflect",
    ),
    "a Pad of ones": (
        finish([("Pad", ["c", "pads", "n"], "a")], "a", n=ONE, pads=integers(0, 0, 1, 1, 0, 0, 1, 1)),
        "Pad 'node_a'",
    ),
    "a window with holes": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [2, 2], "dilations": [2, 2]})], "a"),
        "MaxPool 'node_a'",
    ),
    "a cut": (finish([("Slice", ["c", "from", "to", "axes", "steps"], "a")], "a", **CUT), "Slice 'node_a'"),
    "another slope": (finish([("HardSigmoid", ["c"], "a")], "a"), "HardSigmoid 'node_a'"),
    "gelu by tanh": (finish([("Gelu", ["c"], "a", {"approximate": "tanh"})], "a"), "tanh"),
    "training": (
        finish([("BatchNormalization", NORM, "a", {"training_mode": 1})], "a", **STATISTICS),
        "BatchNormalization 'node_a'",
    ),
    "a mean over channels": (
        finish([("ReduceMean", ["c", "axes"], "a")], "a", axes=integers(1)),
        "ReduceMean 'node_a'",
    ),
    "a join of rows": (
        finish([("Relu", ["c"], "b"), ("Concat", ["c", "b"], "a", {"axis": 2})], "a"),
        "Concat 'node_a'",
    ),
    "a reshape within": (
        finish([("Reshape", ["c", "to"], "a")], "a", to=integers(0, 2, 2, 8, 8)),
        "batch×2×2×8×8",
    ),
    "a three-dimensional convolution": (finish([("Conv", ["c", "w"], "a")], "a", w=draw(4, 4, 1, 1, 1)), "'w'"),
    "channels that do not fit": (finish([("Conv", ["c", "w"], "a")], "a", w=draw(4, 5, 1, 1)), "'w'"),
    "a picture too small": (finish([("Conv", ["c", "w"], "a")], "a", w=draw(4, 4, 9, 9)), "Conv 'node_a'"),
    "an attribute nobody knows": (finish([("Relu", ["c"], "a", {"mystery": 1})], "a"), "mystery"),
    "groups of none": (finish([("Conv", ["c", "w"], "a", {"group": 0})], "a", w=draw(4, 4, 1, 1)), "Conv 'node_a'"),
    "a momentum of all": (
        finish([("BatchNormalization", NORM, "a", {"momentum": 1.0})], "a", **STATISTICS),
        "BatchNormalization 'node_a'",
    ),
    "an attribute of another type": (
        finish([("MaxPool", ["c"], "a", {"kernel_shape": [2, 2], "ceil_mode": "yes"})], "a"),
        "ceil_mode",
    ),
    "an input that nothing gives": (finish([("Relu", ["nowhere"], "a")], "a"), "nowhere"),
    "a name given twice": (finish([("Relu", ["c"], "a"), ("Relu", ["a"], "a")], "a"), "'a'"),
    "a picture at the end": (RELU.change(nodes=[*RELU.nodes[:-3], ("Relu", ["a"], "y")]), "'y'"),
    "dynamic height": (RELU.change(input_dims=("batch", 3, "height", 8)), "'x'"),
    "dynamic channels": (RELU.change(input_dims=("batch", None, 8, 8)), "'x'"),
    "no picture": (RELU.change(input_dims=("batch", 3)), "'x'"),
    "a picture without end": (RELU.change(input_dims=("batch", 3, 1 << 20, 8)), "4096"),
    "bytes for pictures": (RELU.change(input_type=TensorProto.UINT8), "'x'"),
    "an old opset": (RELU.change(opset=MIN_OPSET - 1), str(MIN_OPSET)),
    "a new opset": (RELU.change(opset=MAX_OPSET + 1), str(MAX_OPSET)),
    "a weight that is none": (
        RELU.change(tensors=RELU.tensors | {"conv.bias": np.array([0, 1, np.nan, 1], np.float32)}),
        "conv.bias",
    ),
    "a weight without end": (
        RELU.change(tensors=RELU.tensors | {"conv.bias": np.array([0, 1, 1e300, 1], np.float64)}),
        "conv.bias",
    ),
    "a negative variance": (
        finish([("BatchNormalization", NORM, "a")], "a", **STATISTICS | {"v": -np.ones(4, np.float32)}),
        "running_var",
    ),
    "integers for weights": (
        RELU.change(tensors=RELU.tensors | {"conv.weight": np.ones((4, 3, 3, 3), np.int8)}),
        "conv.weight",
    ),
    "a batch norm of what is flat": (
        Draft([("Flatten", ["x"], "f"), ("BatchNormalization", ["f", "g", "g", "g", "g"], "y")], {"g": draw(192)}),
        "BatchNormalization 'node_y'",
    ),
    "a batch norm behind a layer that others read": (
        Draft(
            [
                ("Flatten", ["x"], "f"),
                ("Gemm", ["f", "w"], "l"),
                ("BatchNormalization", ["l", "g", "g", "g", "g"], "n"),
                ("Add", ["l", "n"], "y"),
            ],
            {"w": draw(192, 2), "g": draw(2)},
        ),
        "BatchNormalization 'node_n'",
    ),
    "a linear layer of a picture": (
        Draft([("Gemm", ["x", "w"], "y")], {"w": draw(8, 2)}),
        "Gemm 'node_y'",
    ),
}


def refuse(data: bytes, path: Path) -> str:
    """What is said when the file is imported."""
    path.write_bytes(data)
    with pytest.raises(InvalidNetwork) as raised:
        load_onnx(path)
    return str(raised.value)


@pytest.mark.parametrize(("draft", "named"), DRAFTS.values(), ids=DRAFTS.keys())
def test_what_is_not_read_is_refused_and_named(draft: Draft, named: str, tmp_path: Path) -> None:
    assert named in refuse(draft.write(), tmp_path / "model.onnx")


def test_the_file_that_the_others_differ_from_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(RELU.write())
    assert load_onnx(path)[0].notes == ()


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def add_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))


def add_subgraph(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], name="branch", then_branch=graph, else_branch=graph))


def add_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("mine", "f", ["a"], ["b"], [], model.opset_import))


def add_foreign(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.microsoft"


def move_away(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")


def add_sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[1]))


def cut_values(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-1]


def claim_values(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 39


def repeat_nodes(model: onnx.ModelProto) -> None:
    for number in range(MAX_ONNX_NODES):
        model.graph.node.append(helper.make_node("Relu", ["c"], [f"r{number}"]))


def refer(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].ref_attr_name = "outside"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (add_input, "mask"),
        (add_output, "y, c"),
        (add_subgraph, "branch"),
        (add_function, "'f'"),
        (add_foreign, "com.microsoft"),
        (move_away, "conv.weight"),
        (add_sparse, "sparse"),
        (cut_values, "conv.weight"),
        (claim_values, "conv.weight"),
        (repeat_nodes, str(MAX_ONNX_NODES)),
        (refer, "pads"),
    ],
)
def test_what_a_file_may_not_hold_is_refused_and_named(
    change: Callable[[onnx.ModelProto], None], named: str, tmp_path: Path
) -> None:
    model = RELU.build()
    change(model)
    assert named in refuse(model.SerializeToString(), tmp_path / "model.onnx")


def test_more_weights_than_there_may_be_are_refused() -> None:
    # One tensor of the file, read by many layers: the file is small, the network is not.
    side = 1 << 10
    count = MAX_WEIGHTS // side**2 + 1
    nodes = [("MatMul", [f"f{number}", "w"], f"f{number + 1}") for number in range(count)]
    tensors = {"w": np.ones((side, side), np.float32)}
    draft = Draft([("Flatten", ["x"], "f0"), *nodes, ("Identity", [f"f{count}"], "y")], tensors, (1, 1, 32, 32))
    with pytest.raises(InvalidNetwork) as raised:
        parse_onnx(draft.write())
    assert str(MAX_WEIGHTS) in str(raised.value)


def test_a_shared_reader_of_all_is_as_new_as_onnx_itself() -> None:
    # Each operation that is read has been looked at in the newest opset: a newer one may mean something else.
    assert onnx.defs.onnx_opset_version() == MAX_OPSET
    assert all(onnx.defs.has(name, MAX_OPSET) for name in TRANSLATORS | SIZE_TRANSLATORS)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("run"),))


def write_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Hostile()))
    return buffer.getvalue()


def write_torch(**options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer, **options)
    return buffer.getvalue()


def write_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        write_zip(),
        write_torch(),
        write_torch(_use_new_zipfile_serialization=False),
        *(pickle.dumps(_Hostile(), protocol) for protocol in range(2, 6)),
        gzip.compress(pickle.dumps(_Hostile()), mtime=0),
        write_tar(),
    ],
    ids=["zip", "torch", "torch of old", "pickle 2", "pickle 3", "pickle 4", "pickle 5", "gzip", "tar"],
)
def test_files_that_may_hold_code_are_refused_with_the_line_that_works(data: bytes) -> None:
    with pytest.raises(InvalidNetwork) as raised:
        identify_file(data[:HEAD_BYTES])
    assert EXPORT_LINE in str(raised.value)


def test_what_is_brought_is_told_by_its_first_bytes() -> None:
    from safetensors.torch import save

    assert identify_file(save({"w": torch.ones(2)})[:HEAD_BYTES]) is FileKind.SAFETENSORS
    assert identify_file(RELU.write()[:HEAD_BYTES]) is FileKind.ONNX


def test_a_pickle_of_old_is_no_network(tmp_path: Path) -> None:
    refuse(pickle.dumps({"w": 1}, 0), tmp_path / "model.onnx")


def test_layers_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    draft = finish(
        [("Relu", ["c"], "a"), ("Conv", ["c", "unused.weight"], "u")], "a", **{"unused.weight": draw(1, 4, 1, 1)}
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(draft.write())
    assert "unused.weight" not in load_onnx(path)[1]
    assert len(end("a", 4)) + 2 == len(load_onnx(path)[0].network.nodes)
