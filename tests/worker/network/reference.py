"""A record computed by PyTorch's functions, one node after the other: slow, plain, and not what the worker builds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.network.operations import NAMES
from worker.network.record import PICTURE, Network, Node


def compute(network: Network, weights: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """pictures: (N, C, H, W). Returns the logits, (N, classes)."""
    values = {PICTURE: pictures}
    for index, node in enumerate(network.nodes):
        own = {
            name.rpartition(".")[2]: value for name, value in weights.items() if name.rpartition(".")[0] == node.name
        }
        values[index] = _compute_node(node, own, [values[read] for read in node.inputs])
        assert values[index].shape[1:] == network.shapes[index], node
    return values[network.output]


def _compute_node(node: Node, own: Mapping[str, Tensor], read: list[Tensor]) -> Tensor:
    said: Any = node.operation
    first = read[0]
    match NAMES[type(node.operation)]:
        case "convolution":
            shared = (said.stride, said.padding, said.dilation, said.groups)
            return F.conv2d(first, own["weight"], own.get("bias"), *shared)
        case "linear":
            return F.linear(first, own["weight"], own.get("bias"))
        case "batch_norm":
            statistics = (own["running_mean"], own["running_var"], own["weight"], own["bias"])
            return F.batch_norm(first, *statistics, eps=said.eps)
        case "relu":
            return F.relu(first)
        case "relu6":
            return F.relu6(first)
        case "leaky_relu":
            return F.leaky_relu(first, said.negative_slope)
        case "hard_swish":
            return F.hardswish(first)
        case "hard_sigmoid":
            return F.hardsigmoid(first)
        case "sigmoid":
            return torch.sigmoid(first)
        case "silu":
            return F.silu(first)
        case "gelu":
            return F.gelu(first)
        case "max_pool":
            return F.max_pool2d(first, said.kernel, said.stride, said.padding, ceil_mode=said.ceil_mode)
        case "average_pool":
            numbers = (said.kernel, said.stride, said.padding, said.ceil_mode, said.count_include_pad)
            return F.avg_pool2d(first, *numbers)
        case "adaptive_average_pool":
            return F.adaptive_avg_pool2d(first, said.output)
        case "mean":
            return first.mean((2, 3))
        case "add":
            return first + read[1]
        case "multiply":
            return first * read[1]
        case "concatenate":
            return torch.cat(read, 1)
        case "flatten":
            return first.flatten(1)
    raise AssertionError(node)
