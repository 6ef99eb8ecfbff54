"""What stands between PyTorch's or Keras's habits and a record: pixels in rows, softmax at the end, channels last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch import nn

from tests.worker.importing import test_exporters, test_operations
from tests.worker.importing.onnx_files import Draft, draw, finish
from tests.worker.importing.test_exporters import KEPT, NEW, OLD
from tests.worker.network.reference import compute
from worker.importing.onnx_weights import load_onnx
from worker.network.importers.onnx_file import parse_onnx
from worker.network.operations.base import InvalidNetwork

PIXELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "view": lambda row: row.view(row.shape[0], row.shape[1], 1, 1),
    "view with -1": lambda row: row.view(-1, 12, 1, 1),
    "none": lambda row: row[:, :, None, None],
    "unsqueezed twice": lambda row: row.unsqueeze(-1).unsqueeze(2),
}
ROWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda picture: picture.mean((2, 3)),
    "view": lambda picture: picture.mean((2, 3), keepdim=True).view(picture.shape[0], -1),
    "squeezed twice": lambda picture: nn.functional.adaptive_avg_pool2d(picture, 1).squeeze(-1).squeeze(-1),
    "indexed": lambda picture: nn.functional.adaptive_avg_pool2d(picture, 1)[:, :, 0, 0],
    "indexed and squeezed": lambda picture: nn.functional.adaptive_avg_pool2d(picture, 1)[..., 0].squeeze(2),
}


class Squeezing(nn.Module):
    """Squeeze-and-excite of Hu et al. 2018 (arXiv:1709.01507), with linear layers as its authors wrote it."""

    def __init__(self, row: str, pixel: str) -> None:
        super().__init__()
        self.row, self.pixel = ROWS[row], PIXELS[pixel]
        self.conv, self.last = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 8, 3)
        self.excite = nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 12), nn.Sigmoid())
        self.fc = nn.Linear(8, 5)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = self.conv(pictures).relu()
        x = x * self.pixel(self.excite(self.row(x)))
        logits: torch.Tensor = self.fc(self.row(self.last(x)))
        return logits


@pytest.mark.slow
@pytest.mark.parametrize("options", [OLD, KEPT, NEW], ids=["old", "kept", "new"])
@pytest.mark.parametrize(("row", "pixel"), [*zip(ROWS, ["view", *PIXELS], strict=True)])
def test_squeeze_and_excite_with_linear_layers_is_read(
    row: str, pixel: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = Squeezing(row, pixel)
    path = tmp_path / "model.onnx"
    test_exporters.export(module, path, (3, 10, 10), **options)
    found, _ = test_exporters.import_and_compare(module, path, (3, 10, 10))
    assert found.network.num_parameters == sum(value.numel() for value in module.parameters())
    assert found.notes == ()


DECISIONS: dict[str, list[tuple[Any, ...]]] = {
    "softmax": [("Softmax", ["l"], "y", {"axis": -1})],
    "softmax of old": [("Softmax", ["l"], "y")],
    "its logarithm": [("LogSoftmax", ["l"], "y", {"axis": 1})],
    "the class": [("ArgMax", ["l"], "y", {"axis": 1, "keepdims": 0})],
    "the class of a softmax": [("Softmax", ["l"], "s", {"axis": 1}), ("ArgMax", ["s"], "y", {"axis": -1})],
    "by another name": [("Softmax", ["l"], "s", {"axis": 1}), ("Identity", ["s"], "y")],
    "in a row": [("Softmax", ["l"], "s", {"axis": 1}), ("Dropout", ["s"], "d"), ("Flatten", ["d"], "y", {"axis": 1})],
    "the class, shorter": [("ArgMax", ["l"], "k", {"axis": 1}), ("Cast", ["k"], "y", {"to": TensorProto.INT32})],
}


def draft_decision(nodes: list[tuple[Any, ...]], opset: int = 13) -> Draft:
    draft = finish([("Relu", ["c"], "a")], "a")
    *before, (kind, inputs, _, attributes) = draft.nodes
    row = np.array([1, -1, 1, -1], np.float32)
    even = {"fc4.weight": np.stack([row, -row]), "fc.bias": np.zeros(2, np.float32)}  # both classes are answered
    nodes = [*before, (kind, inputs, "l", attributes), *nodes]
    return draft.change(nodes=nodes, tensors=draft.tensors | even, opset=opset)


@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_made_of_the_logits_at_the_end_is_left_out_and_told(name: str, tmp_path: Path) -> None:
    draft = draft_decision(DECISIONS[name], 11 if name == "softmax of old" else 13)
    if "class" in name:
        draft = draft.change(output_type=TensorProto.INT32 if "shorter" in name else TensorProto.INT64)
    path = tmp_path / "model.onnx"
    path.write_bytes(draft.write())
    found, arrays = load_onnx(path)
    generator = np.random.default_rng(1)
    pictures = (generator.normal(0, 2, (16, 3, 8, 8)) + generator.normal(0, 9, (16, 3, 1, 1))).astype(np.float32)
    weights = {key: torch.from_numpy(array) for key, array in arrays.items()}
    logits = compute(found.network, weights, torch.from_numpy(pictures)).numpy()
    said = onnxruntime.InferenceSession(path).run(None, {"x": pictures})[0]
    classes = said.argmax(1) if said.dtype == np.float32 else said.reshape(-1)
    np.testing.assert_array_equal(logits.argmax(1), classes)
    assert len(set(classes.tolist())) == 2
    assert len(found.notes) == 1


def test_one_that_leads_nowhere_is_not_told_of() -> None:
    draft = draft_decision([("Softmax", ["l"], "s", {"axis": 1}), ("Identity", ["l"], "y")])
    assert parse_onnx(draft.write()).notes == ()


@pytest.mark.parametrize(
    "nodes",
    [
        [("Softmax", ["l"], "s", {"axis": 1}), ("Relu", ["s"], "y")],
        [("Softmax", ["l"], "s", {"axis": 1}), ("Add", ["s", "l"], "y")],
        [("Softmax", ["l"], "s", {"axis": 1}), ("Mul", ["s", "two"], "y")],
        [("Softmax", ["l"], "y", {"axis": 0})],
        [("ArgMax", ["l"], "y")],
    ],
    ids=["relu", "add", "times a number", "over the batch", "of the batch"],
)
def test_elsewhere_it_is_refused(nodes: list[tuple[Any, ...]]) -> None:
    draft = draft_decision(nodes)
    with pytest.raises(InvalidNetwork) as caught:
        parse_onnx(draft.change(tensors=draft.tensors | {"two": np.array(2, np.float32)}).write())
    assert any(name in str(caught.value) for name in ("Softmax", "ArgMax"))


def test_pictures_whose_channels_come_last_are_turned(tmp_path: Path) -> None:
    draft = finish([("Relu", ["c"], "a")], "a")
    (kind, _, *rest), *others = draft.nodes
    nodes = [
        ("Transpose", ["x"], "first", {"perm": [0, 3, 1, 2]}),
        (kind, ["first", "conv.weight", "conv.bias"], *rest),
    ]
    path = tmp_path / "model.onnx"
    path.write_bytes(draft.change(nodes=[*nodes, *others], input_dims=("batch", 8, 6, 3)).write())
    found, arrays = load_onnx(path)
    assert found.network.input_shape == (3, 8, 6)
    pictures = np.random.default_rng(1).normal(0, 2, (4, 3, 8, 6)).astype(np.float32)
    weights = {key: torch.from_numpy(array) for key, array in arrays.items()}
    computed = compute(found.network, weights, torch.from_numpy(pictures)).numpy()
    expected = onnxruntime.InferenceSession(path).run(None, {"x": pictures.transpose(0, 2, 3, 1)})[0]
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("perm", [[0, 1, 3, 2], [0, 2, 3, 1], [0, 3, 1, 2]])
def test_only_the_file_s_own_picture_is_turned(perm: list[int]) -> None:
    """A second turn of the same pictures would be another network."""
    draft = finish([("Relu", ["c"], "a")], "a")
    (kind, _, *rest), *others = draft.nodes
    turn = ("Transpose", ["x"], "first", {"perm": [0, 3, 1, 2]})
    again = ("Transpose", ["first"], "second", {"perm": perm})
    nodes = [turn, again, (kind, ["second", "conv.weight", "conv.bias"], *rest), *others]
    with pytest.raises(InvalidNetwork) as caught:
        parse_onnx(draft.change(nodes=nodes, input_dims=("batch", 3, 3, 3)).write())
    assert "Transpose" in str(caught.value)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Sub", ["x", "mean"], "n"), ("Div", ["n", "std"], "n2")],
        [("Sub", ["x", "half"], "n"), ("Div", ["n", "half"], "n2")],
    ],
    ids=["by channel", "of all"],
)
def test_a_normalisation_in_the_network_is_refused_with_the_way_out(nodes: list[tuple[Any, ...]]) -> None:
    draft = finish([("Relu", ["c"], "a")], "a")
    (kind, _, *rest), *others = draft.nodes
    tensors = {"mean": draw(1, 3, 1, 1), "std": np.abs(draw(1, 3, 1, 1)), "half": np.array(0.5, np.float32)}
    first = (kind, ["n2", "conv.weight", "conv.bias"], *rest)
    with pytest.raises(InvalidNetwork) as caught:
        parse_onnx(draft.change(nodes=[*nodes, first, *others], tensors=draft.tensors | tensors).write())
    assert "mean and std" in str(caught.value)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Unsqueeze", ["f", "axes"], "u"), ("GlobalAveragePool", ["u"], "p2"), ("Flatten", ["p2"], "g")],
        [("Reshape", ["x3", "pixel"], "u"), ("Mul", ["c", "u"], "m"), ("GlobalAveragePool", ["m"], "m2"),
         ("Flatten", ["m2"], "g")],
    ],
    ids=["one axis", "of all pixels"],
)  # fmt: skip
def test_what_becomes_no_pixel_is_refused(nodes: list[tuple[Any, ...]]) -> None:
    draft = finish([], "c")
    conv, pool, flat, gemm = draft.nodes
    before = [conv, pool, (*flat[:2], "f"), ("Flatten", ["c"], "all"), ("Gemm", ["all", "wide"], "x3", {"transB": 1})]
    tensors = {"axes": np.array([2]), "pixel": np.array([-1, 4, 1, 1]), "wide": draw(4, 4 * 64)}
    changed = draft.change(
        nodes=[*before, *nodes, (gemm[0], ["g", *gemm[1][1:]], *gemm[2:])], tensors=draft.tensors | tensors
    )
    with pytest.raises(InvalidNetwork):
        parse_onnx(changed.write())


def test_a_row_that_becomes_many_pixels_is_computed_once() -> None:
    """Work and nodes grow with the file, and not with its square."""
    draft = finish([], "c")
    conv, pool, _, gemm = draft.nodes
    count = 400
    relus = [("Relu", [f"r{place}"], f"r{place + 1}") for place in range(count)]
    pixels = [("Unsqueeze", [f"r{count}", "axes"], f"u{place}") for place in range(count)]
    sums = [("Add", [f"s{place}" if place else "u0", f"u{place + 1}"], f"s{place + 1}") for place in range(count - 1)]
    mean = ("ReduceMean", ["c", "axes"], "r0", {"keepdims": 0})
    end = [("Flatten", [f"s{count - 1}"], "f"), (gemm[0], ["f", *gemm[1][1:]], *gemm[2:])]
    changed = draft.change(
        nodes=[conv, mean, *relus, *pixels, *sums, *end], tensors=draft.tensors | {"axes": np.array([2, 3])}
    )
    del pool
    assert len(parse_onnx(changed.write()).network.nodes) < 3 * count


@pytest.mark.parametrize("alias", ["row", "pixel"])
def test_a_layer_that_gives_a_row_and_a_pixel_gets_no_bias_of_one_reader(alias: str, tmp_path: Path) -> None:
    draft = finish([], "c")
    conv, pool, _, gemm = draft.nodes
    nodes = [
        conv, pool, ("Conv", ["c_pooled", "small"], "k"), ("Flatten", ["k"], "f"), ("Unsqueeze", ["f", "axes"], "u"),
        ("Unsqueeze", ["f", "axes"], "v"), ("Add", ["u", "shift"], "b"), ("Flatten", ["b"], "g"),
        ("Flatten", ["v"], "h") if alias == "pixel" else ("Identity", ["f"], "h"),
        ("Add", ["g", "h"], "s"), (gemm[0], ["s", *gemm[1][1:]], *gemm[2:]),
    ]  # fmt: skip
    tensors = {"axes": np.array([2, 3]), "small": draw(4, 4, 1, 1), "shift": draw(1, 4, 1, 1)}
    changed = draft.change(nodes=nodes, tensors=draft.tensors | tensors)
    try:
        test_operations.import_and_compare(changed, tmp_path / "model.onnx")
    except InvalidNetwork as error:
        assert "shift" in str(error)  # noqa: PT017 - refused is right as well, read wrongly is not


def test_a_row_that_is_read_twice_is_computed_for_each(tmp_path: Path) -> None:
    """Once as a row and once as a pixel: both are what ONNX Runtime makes of them, and the copy is told of."""
    draft = finish([], "c")
    conv, pool, flat, gemm = draft.nodes
    nodes = [
        conv, pool, (*flat[:2], "f"), ("Gemm", ["f", "wide"], "row", {"transB": 1}), ("Sigmoid", ["row"], "gate"),
        ("Reshape", ["gate", "pixel"], "u"), ("Mul", ["c", "u"], "m"), ("GlobalAveragePool", ["m"], "m2"),
        ("Flatten", ["m2"], "m3"), ("Add", ["m3", "gate"], "g"), (gemm[0], ["g", *gemm[1][1:]], *gemm[2:]),
    ]  # fmt: skip
    tensors = {"pixel": np.array([-1, 4, 1, 1]), "wide": draw(4, 4)}
    found = test_operations.import_and_compare(
        draft.change(nodes=nodes, tensors=draft.tensors | tensors), tmp_path / "model.onnx"
    )
    assert len(found.notes) == 1


@pytest.mark.parametrize("seed", range(3))
def test_nodes_may_stand_in_any_order(seed: int, tmp_path: Path) -> None:
    draft = finish([("Relu", ["c"], "a"), ("Add", ["a", "c"], "s")], "s")
    nodes = [draft.nodes[place] for place in np.random.default_rng(seed).permutation(len(draft.nodes))]
    test_operations.import_and_compare(draft.change(nodes=nodes), tmp_path / "model.onnx")


def test_nodes_in_a_circle_are_refused() -> None:
    draft = finish([("Add", ["c", "b"], "a"), ("Relu", ["a"], "b")], "b")
    with pytest.raises(InvalidNetwork) as caught:
        parse_onnx(draft.write())
    assert "circle" in str(caught.value)
