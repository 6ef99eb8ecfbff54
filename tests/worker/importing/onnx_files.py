"""ONNX files made by hand, as ONNX's own library writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Tensors = dict[str, Any]
Node = tuple[Any, ...]
"""Operation, inputs, output, and its attributes where it has some."""


@dataclass(frozen=True)
class Draft:
    """A file to be: nodes of a network from `x` to `y`, and its tensors."""

    nodes: Sequence[Node]
    tensors: Tensors = field(default_factory=dict)
    input_dims: Sequence[int | str | None] = ("batch", 3, 8, 8)
    opset: int = 20
    input_type: int = TensorProto.FLOAT
    output_type: int = 0
    """That of the input where it is 0."""

    def change(self, **changes: Any) -> Draft:
        """The same, with something else."""
        return replace(self, **changes)

    def build(self) -> onnx.ModelProto:
        """The file as a message."""
        nodes = [
            helper.make_node(kind, list(inputs), [output], name=f"node_{output}", **(more[0] if more else {}))
            for kind, inputs, output, *more in self.nodes
        ]
        graph = helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("x", self.input_type, list(self.input_dims))],
            [helper.make_tensor_value_info("y", self.output_type or self.input_type, None)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in self.tensors.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def write(self) -> bytes:
        """The file."""
        data: bytes = self.build().SerializeToString()
        return data


def draw(*shape: int, seed: int = 0) -> Any:
    """Weights, the same in each run."""
    return np.random.default_rng((seed, *shape)).normal(0, 0.3, shape).astype(np.float32)


def end(name: str, channels: int) -> list[Node]:
    """What makes two classes of a picture of that name."""
    return [
        ("GlobalAveragePool", [name], f"{name}_pooled"),
        ("Flatten", [f"{name}_pooled"], f"{name}_flat"),
        ("Gemm", [f"{name}_flat", f"fc{channels}.weight", "fc.bias"], "y", {"transB": 1}),
    ]


def finish(nodes: Sequence[Node], last: str, channels: int = 4, **tensors: Any) -> Draft:
    """A convolution of 3 to 4 channels from `x` to `c`, the nodes, and two classes of what the last one gives."""
    first: list[Node] = [("Conv", ["x", "conv.weight", "conv.bias"], "c", {"pads": [1, 1, 1, 1]})]
    given = {"conv.weight": draw(4, 3, 3, 3), "conv.bias": draw(4)}
    given |= {f"fc{channels}.weight": draw(2, channels), "fc.bias": draw(2)}
    return Draft([*first, *nodes, *end(last, channels)], given | tensors)
