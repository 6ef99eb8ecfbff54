"""The networks that a file names without a record of them, as records."""

from __future__ import annotations

from typing import Any

from .bits import InvalidModel


class _Nodes:
    """Operations one after the other, each reading the one before it unless it is told otherwise."""

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []

    def add(self, operation: str, name: str, inputs: tuple[int, ...] = (), **attributes: Any) -> int:
        self.nodes.append([operation, list(inputs or (len(self.nodes) - 1,)), attributes, name])
        return len(self.nodes) - 1

    def convolution(
        self, name: str, out: int, side: int, inputs: tuple[int, ...] = (), *, pad: int = 0, **more: Any
    ) -> int:
        attributes = {"out_channels": out, "kernel": [side, side], "padding": [pad, pad]} | more
        return self.add("convolution", name, inputs, **attributes)

    def halve(self, name: str) -> int:
        return self.add("max_pool", name, kernel=[2, 2], stride=[2, 2])

    def linear(self, name: str, out: int) -> int:
        return self.add("linear", name, out_features=out)


def describe(architecture: str, widths: tuple[int, ...], input_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """The record. Batch norms are left out: they are folded into the layers. Raises InvalidModel."""
    nodes = _Nodes()
    try:
        _BUILDERS[architecture](nodes, widths, classes)
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidModel(f"no network of that architecture and {len(widths)} widths is known here") from error
    return {"input": list(input_shape), "nodes": nodes.nodes, "output": len(nodes.nodes) - 1}


def _fashion_cnn(nodes: _Nodes, widths: tuple[int, ...], classes: int) -> None:
    first, second, hidden = widths
    for number, width in enumerate((first, second), start=1):
        nodes.convolution(f"conv{number}", width, 3, pad=1)
        nodes.halve(f"pool{number}")
        nodes.add("relu", f"relu{number}")
    nodes.add("flatten", "flatten")
    nodes.linear("fc1", hidden)
    nodes.add("relu", "relu3")
    nodes.linear("fc2", classes)


def _lenet5(nodes: _Nodes, widths: tuple[int, ...], classes: int) -> None:
    first, second, third, fourth = widths
    for number, (width, pad) in enumerate(((first, 2), (second, 0)), start=1):
        nodes.convolution(f"conv{number}", width, 5, pad=pad)
        nodes.halve(f"pool{number}")
        nodes.add("relu", f"relu{number}")
    nodes.add("flatten", "flatten")
    for number, width in enumerate((third, fourth), start=1):
        nodes.linear(f"fc{number}", width)
        nodes.add("relu", f"relu{number + 2}")
    nodes.linear("fc3", classes)


def _mlp(nodes: _Nodes, widths: tuple[int, ...], classes: int) -> None:
    nodes.add("flatten", "flatten")
    for number, width in enumerate(widths):
        nodes.linear(f"layers.{number}", width)
        nodes.add("relu", f"relu{number}")
    nodes.linear(f"layers.{len(widths)}", classes)


def _resnet_small(nodes: _Nodes, widths: tuple[int, ...], classes: int) -> None:
    stem, inner1, outer2, inner2 = widths
    nodes.convolution("stem", stem, 3, pad=1, stride=[2, 2])
    start = nodes.add("relu", "stem_relu")
    nodes.convolution("conv1a", inner1, 3, pad=1)
    nodes.add("relu", "relu1a")
    branch = nodes.convolution("conv1b", stem, 3, pad=1)
    nodes.add("add", "add1", (start, branch))
    middle = nodes.add("relu", "relu1b")
    nodes.convolution("conv2a", inner2, 3, pad=1, stride=[2, 2])
    nodes.add("relu", "relu2a")
    branch = nodes.convolution("conv2b", outer2, 3, pad=1)
    shortcut = nodes.convolution("shortcut2", outer2, 1, (middle,), stride=[2, 2])
    nodes.add("add", "add2", (shortcut, branch))
    nodes.add("relu", "relu2b")
    nodes.add("mean", "pool")
    nodes.linear("fc", classes)


def _depthwise_cnn(nodes: _Nodes, widths: tuple[int, ...], classes: int) -> None:
    stem, second, third = widths
    nodes.convolution("stem", stem, 3, pad=1, stride=[2, 2])
    nodes.add("relu", "stem_relu")
    for name, out, more in (
        ("depthwise1", stem, {"pad": 1, "groups": stem}),
        ("pointwise1", second, {}),
        ("depthwise2", second, {"pad": 1, "groups": second, "stride": [2, 2]}),
        ("pointwise2", third, {}),
    ):
        nodes.convolution(name, out, 3 if "pad" in more else 1, **more)
        nodes.add("relu", f"{name}_relu")
    nodes.add("mean", "pool")
    nodes.linear("fc", classes)


_BUILDERS = {
    "fashion_cnn": _fashion_cnn,
    "lenet5": _lenet5,
    "mlp": _mlp,
    "resnet_small": _resnet_small,
    "depthwise_cnn": _depthwise_cnn,
}
