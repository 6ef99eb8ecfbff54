"""torchvision's networks → records, by tracing what torchvision builds; writes the data that the API reads.

`python -m worker.importing.torchvision_tracing` writes them anew, after an update of torchvision.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torchvision.models import get_model
from torchvision.ops.stochastic_depth import stochastic_depth

from worker.network.operations.base import Operation
from worker.network.operations.elementwise import (
    Add,
    Concatenate,
    Flatten,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Multiply,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
)
from worker.network.operations.layers import BatchNorm, Convolution, Linear
from worker.network.operations.pooling import AdaptiveAveragePool, AveragePool, MaxPool, Mean
from worker.network.record import PICTURE, Network, NetworkBuilder
from worker.network.torchvision_records import (
    INDEX,
    NAMES,
    describe_torchvision,
    record_path,
    summarise,
    write_record,
    write_summaries,
)

Pair = tuple[int, int]
_WITHOUT_AUXILIARY = {"googlenet": {"aux_logits": False, "init_weights": False}}
_WITHOUT_AUXILIARY["inception_v3"] = _WITHOUT_AUXILIARY["googlenet"]


def build_torchvision(name: str, num_classes: int = 1000) -> nn.Module:
    """The module of torchvision, its weights drawn anew."""
    module: nn.Module = get_model(name, weights=None, num_classes=num_classes, **_WITHOUT_AUXILIARY.get(name, {}))
    return module.eval()


def trace_torchvision(name: str, side: int = 224, num_classes: int = 1000) -> Network:
    """The record: nodes with weights have the names that torchvision's state dict has."""
    # regnet computes its widths with tensors.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        traced = fx.symbolic_trace(build_torchvision(name, num_classes))
    builder, places = NetworkBuilder((3, side, side)), dict[fx.Node, int]()
    for node in traced.graph.nodes:
        read = [places[argument] for argument in node.all_input_nodes]
        match node.op:
            case "placeholder":
                places[node] = PICTURE
            case "output":
                break
            case "call_module":
                module = traced.get_submodule(node.target)
                named = node.target if any(True for _ in module.parameters()) else node.name
                places[node] = _add(builder, named, _read_module(module), read)
            case "call_function" | "call_method":
                places[node] = _add(builder, node.name, _read_call(node), read)
            case _:
                raise NotImplementedError(f"{name}: {node.format_node()}")
    return builder.build()


def _add(builder: NetworkBuilder, name: str, operation: Operation | None, read: list[int]) -> int:
    return read[0] if operation is None else builder.add(name, operation, *read)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _read_module(module: Any) -> Operation | None:
    """None: what does nothing outside training."""
    match module:
        case nn.Conv2d(padding_mode="zeros"):
            return Convolution(
                out_channels=module.out_channels,
                kernel=_pair(module.kernel_size),
                stride=_pair(module.stride),
                padding=_pair(module.padding),
                dilation=_pair(module.dilation),
                groups=module.groups,
                bias=module.bias is not None,
            )
        case nn.Linear():
            return Linear(out_features=module.out_features, bias=module.bias is not None)
        case nn.BatchNorm2d(affine=True, track_running_stats=True):
            return BatchNorm(eps=module.eps, momentum=module.momentum)
        case nn.MaxPool2d(dilation=1):
            return _make_pool(MaxPool, module.kernel_size, module.stride, module.padding, module.ceil_mode)
        case nn.AvgPool2d(divisor_override=None):
            pool = (module.kernel_size, module.stride, module.padding, module.ceil_mode)
            return _make_pool(AveragePool, *pool, count_include_pad=module.count_include_pad)
        case nn.AdaptiveAvgPool2d():
            return AdaptiveAveragePool(output=_pair(module.output_size))
        case nn.LeakyReLU():
            return LeakyRelu(negative_slope=module.negative_slope)
        case nn.GELU(approximate="none"):
            return Gelu()
        case nn.Dropout() | nn.Identity():
            return None
    return _PLAIN[type(module)]()


_PLAIN: dict[type[nn.Module], Callable[[], Operation]] = {
    nn.ReLU: Relu,
    nn.ReLU6: Relu6,
    nn.Hardswish: HardSwish,
    nn.Hardsigmoid: HardSigmoid,
    nn.Sigmoid: Sigmoid,
    nn.SiLU: Silu,
    nn.Flatten: Flatten,
}


def _make_pool(
    kind: type[MaxPool | AveragePool], kernel: Any, stride: Any, padding: Any, ceil_mode: bool, **more: bool
) -> Operation:
    return kind(
        kernel=_pair(kernel), stride=_pair(stride or kernel), padding=_pair(padding), ceil_mode=ceil_mode, **more
    )


def _read_call(node: fx.Node) -> Operation | None:
    """None: what does nothing outside training."""
    said, arguments = dict(node.kwargs), node.args
    match node.target:
        case operator.add | operator.iadd | torch.add:
            return Add()
        case operator.mul | torch.mul:
            return Multiply()
        case torch.cat if (arguments[1:] or (said.get("dim"),)) == (1,):
            return Concatenate()
        case torch.flatten | "flatten" if (arguments[1:] or (said.get("start_dim"),)) == (1,):
            return Flatten()
        case F.relu | torch.relu:
            return Relu()
        case F.adaptive_avg_pool2d:
            return AdaptiveAveragePool(output=_pair(arguments[1]))
        case F.dropout if not said["training"]:
            return None
        case "mean" if arguments[1:] == ([2, 3],):
            return Mean()
    if node.target is stochastic_depth:
        return None
    window = {name: said.get(name) for name in ("kernel_size", "stride", "padding")}
    window |= dict(zip(window, arguments[1:], strict=False))
    pool = (window["kernel_size"], window["stride"], window["padding"] or 0, bool(said.get("ceil_mode")))
    if node.target is F.avg_pool2d:
        return _make_pool(AveragePool, *pool)
    if node.target is F.max_pool2d or getattr(node.target, "__name__", "") == "boolean_dispatch":
        return _make_pool(MaxPool, *pool)
    raise NotImplementedError(node.format_node())


if __name__ == "__main__":
    for each in NAMES:
        record_path(each).write_text(write_record(trace_torchvision(each)), "utf-8")
    INDEX.write_text(write_summaries({each: summarise(describe_torchvision(each)) for each in NAMES}), "utf-8")
