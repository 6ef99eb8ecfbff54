"""The operations that a record may hold: no other is known, so that a file holds data and never code.

A new one takes its class and a line here.
"""

from __future__ import annotations

from worker.network.operations import elementwise, layers, pooling
from worker.network.operations.base import Operation

OPERATIONS: dict[str, type[Operation]] = {
    "convolution": layers.Convolution,
    "linear": layers.Linear,
    "batch_norm": layers.BatchNorm,
    "channel_affine": layers.ChannelAffine,
    "relu": elementwise.Relu,
    "relu6": elementwise.Relu6,
    "leaky_relu": elementwise.LeakyRelu,
    "hard_swish": elementwise.HardSwish,
    "hard_sigmoid": elementwise.HardSigmoid,
    "sigmoid": elementwise.Sigmoid,
    "silu": elementwise.Silu,
    "gelu": elementwise.Gelu,
    "max_pool": pooling.MaxPool,
    "average_pool": pooling.AveragePool,
    "adaptive_average_pool": pooling.AdaptiveAveragePool,
    "mean": pooling.Mean,
    "add": elementwise.Add,
    "multiply": elementwise.Multiply,
    "concatenate": elementwise.Concatenate,
    "flatten": elementwise.Flatten,
}
NAMES = {operation: name for name, operation in OPERATIONS.items()}
