"""ONNX's operations between a picture of one pixel and its channels in a row, which a record tells apart."""

from __future__ import annotations

from worker.network.importers.onnx_arguments import Arguments
from worker.network.importers.onnx_graph import GraphWriter
from worker.network.importers.onnx_layers import flatten
from worker.network.importers.onnx_values import Activation, Value
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.elementwise import Flatten
from worker.network.operations.layers import Convolution, Linear
from worker.network.operations.pooling import AdaptiveAveragePool, Mean

_ROW, _COLUMN, _PIXEL = 2, 3, 4
"""Axes that the file has of it, with the batch: channels; channels × 1; channels × 1 × 1."""


def translate_squeeze(said: Arguments, graph: GraphWriter) -> Value:
    """Squeeze of a picture of one pixel, of both axes or one after the other."""
    value = said.get_column()
    count = _count_axes(graph, value)
    return _show(
        graph, value, count - _count_dropped(graph, value, said.get_integers(1, "axes", tuple(range(2, count))))
    )


def translate_gather(said: Arguments, graph: GraphWriter) -> Value:
    """Gather of the only row or column, as `x[:, :, 0, 0]` writes it."""
    places = said.get_sizes(1)
    if len(places.dims) > 1 or places.numbers not in ((0,), (-1,)):
        raise InvalidNetwork("it takes values out: only the only one of an axis is read here")
    value = said.get_column()
    num_dropped = _count_dropped(graph, value, (said.get_integer("axis", 0),))
    return value if places.dims else _show(graph, value, _count_axes(graph, value) - num_dropped)


def translate_unsqueeze(said: Arguments, graph: GraphWriter) -> Value:
    """Unsqueeze of channels in a row, to a picture of one pixel."""
    value = said.get_column()
    axes = said.get_integers(1, "axes", None)
    wanted = _count_axes(graph, value) + len(axes)
    if wanted > _PIXEL or {0, 1} & {axis % wanted for axis in axes}:
        raise InvalidNetwork("only height and width of one pixel are added here")
    return _show(graph, value, wanted)


def _count_axes(graph: GraphWriter, value: Activation) -> int:
    return _COLUMN if value.is_column else 1 + len(graph.get_shape(value))


def _count_dropped(graph: GraphWriter, value: Activation, axes: tuple[int, ...]) -> int:
    """How many axes these are. Raises InvalidNetwork where one is none of height and width of one pixel."""
    count = _count_axes(graph, value)
    dropped = {axis % count for axis in axes}
    if {0, 1} & dropped or any(side != 1 for side in graph.get_shape(value)[1:]):
        raise InvalidNetwork("only height and width of one pixel are dropped here")
    return len(dropped)


def _show(graph: GraphWriter, value: Activation, count: int) -> Activation:
    """The same values with so many axes."""
    plain = Activation(value.index)
    if count == _ROW:
        return flatten(graph, plain)
    return Activation(value.index, is_column=True) if count == _COLUMN else make_pixel(graph, plain)


def make_pixel(graph: GraphWriter, value: Activation) -> Activation:
    """Channels in a row as a picture of one pixel, what gives them computed on such: linear layers as 1x1 convolutions.

    It is what squeeze-and-excite does with linear layers. Raises InvalidNetwork where they come from anything else than
    the mean of a picture or one of one pixel, with linear layers and activations behind it.
    """
    rows = list[Activation]()
    while value.index not in graph.pixels and (node := graph.get_node(value)) is not None:
        before = Activation(node.inputs[0])
        if isinstance(node.operation, Mean):
            graph.pixels[value.index] = graph.add(AdaptiveAveragePool(output=(1, 1)), before)
        elif isinstance(node.operation, Flatten) and graph.get_shape(before)[1:] == (1, 1):
            graph.pixels[value.index] = graph.share(before)
        elif len(graph.get_shape(value)) == 1 and len(node.inputs) == 1:
            rows.append(value)
            value = before
        else:
            break
    pixel = graph.pixels.get(value.index, value)
    if graph.get_shape(pixel)[1:] != (1, 1):
        raise InvalidNetwork(
            "only the mean over a picture, and what layers make of it, becomes a picture of one pixel here"
        )
    for row in reversed(rows):
        pixel = graph.pixels[row.index] = graph.share(_copy_as_pixel(graph, row, pixel))
    return pixel


def _copy_as_pixel(graph: GraphWriter, value: Activation, before: Activation) -> Activation:
    node = graph.get_node(value)
    assert node is not None  # noqa: S101 - the picture is no row
    operation = node.operation
    if isinstance(operation, Linear):
        operation = Convolution(out_channels=operation.out_features, kernel=(1, 1), bias=operation.bias)
    return graph.add(operation, before, hint=node.name, **graph.get_weights(value))
