"""ONNX's pooling → operations of the record; and how far a window reaches, for convolutions too."""

from __future__ import annotations

from worker.network.importers.onnx_arguments import Arguments
from worker.network.importers.onnx_graph import GraphWriter
from worker.network.importers.onnx_values import Value
from worker.network.operations.base import InvalidNetwork, read_picture
from worker.network.operations.pooling import AdaptiveAveragePool, AveragePool, MaxPool, Mean

Pair = tuple[int, int]


def _check_pair(numbers: tuple[int, ...] | None, name: str) -> Pair:
    if numbers is None or len(numbers) != 2 or not all(0 < number < 1 << 16 for number in numbers):
        raise InvalidNetwork(f"its {name} are no two numbers: only height and width are read here")
    return numbers[0], numbers[1]


def read_pair(said: Arguments, name: str) -> Pair:
    """An attribute that says how far, in height and in width; 1 where it says nothing."""
    return _check_pair(said.list_integers(name, (1, 1)), name)


def read_padding(said: Arguments, sides: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """Zeros above and below, left and right. Raises InvalidNetwork where the two differ."""
    automatic = said.get_text("auto_pad", "NOTSET")
    pads = said.list_integers("pads", (0, 0, 0, 0)) or (0, 0, 0, 0)
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        windows = zip(sides, kernel, stride, dilation, strict=True)
        total = [max((-(-side // by) - 1) * by + far * (wide - 1) + 1 - side, 0) for side, wide, by, far in windows]
        pads = (total[0] // 2, total[1] // 2, -(-total[0] // 2), -(-total[1] // 2))
    elif automatic == "VALID":
        pads = (0, 0, 0, 0)
    elif automatic != "NOTSET":
        raise InvalidNetwork(f"its auto_pad {automatic!r:.40} is not known here")
    return check_padding(pads)


def check_padding(pads: tuple[int, ...]) -> Pair:
    """Begin of height and width, end of height and width → one number for each. Raises InvalidNetwork."""
    if len(pads) != 4 or pads[:2] != pads[2:]:
        raise InvalidNetwork(f"its padding {list(pads)} is asymmetric: only the same on both sides is read here")
    if not all(0 <= pad < 1 << 16 for pad in pads):
        raise InvalidNetwork(f"its padding {list(pads)} is not read here")
    return pads[0], pads[1]


# --- pooling


def translate_max_pool(said: Arguments, graph: GraphWriter) -> Value:
    """MaxPool, without the places of what is largest."""
    said.get_integer("storage_order", 0)
    return _add_pool(said, graph, MaxPool, {})


def translate_average_pool(said: Arguments, graph: GraphWriter) -> Value:
    """AveragePool."""
    return _add_pool(said, graph, AveragePool, {"count_include_pad": said.get_integer("count_include_pad", 0) == 1})


def _add_pool(said: Arguments, graph: GraphWriter, kind: type[MaxPool | AveragePool], more: dict[str, bool]) -> Value:
    value = said.get_activation()
    shape = read_picture(graph.get_shape(value))
    kernel = _check_pair(said.list_integers("kernel_shape", None), "kernel_shape")
    stride = read_pair(said, "strides")
    if read_pair(said, "dilations") != (1, 1):
        raise InvalidNetwork("its window is dilated, which is read for convolutions alone")
    padding = read_padding(said, shape[1:], kernel, stride, (1, 1))
    if padding == (0, 0):
        more = dict.fromkeys(more, True)  # The same; what PyTorch has by default.
    operation = kind(
        kernel=kernel, stride=stride, padding=padding, ceil_mode=said.get_integer("ceil_mode", 0) == 1, **more
    )
    return graph.add(operation, value)


def translate_global_average_pool(said: Arguments, graph: GraphWriter) -> Value:
    """GlobalAveragePool."""
    return graph.add(AdaptiveAveragePool(output=(1, 1)), said.get_activation())


def translate_global_max_pool(said: Arguments, graph: GraphWriter) -> Value:
    """GlobalMaxPool: one window, as large as the picture."""
    value = said.get_activation()
    sides = read_picture(graph.get_shape(value))[1:]
    return graph.add(MaxPool(kernel=sides, stride=sides), value)


def translate_mean(said: Arguments, graph: GraphWriter) -> Value:
    """ReduceMean over height and width."""
    value = said.get_activation()
    rank = 1 + len(graph.get_shape(value))
    said.expect("noop_with_empty_axes", 0)
    axes = {axis % rank for axis in said.get_integers(1, "axes", tuple(range(rank)))}
    if rank != 4 or axes != {2, 3}:
        raise InvalidNetwork(f"it is the mean over axes {sorted(axes)}: only height and width (2 and 3) are read here")
    keeps = said.get_integer("keepdims", 1) == 1
    return graph.add(AdaptiveAveragePool(output=(1, 1)) if keeps else Mean(), value)
