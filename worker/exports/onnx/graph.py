"""The nodes and the constants of an ONNX graph while it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray


def name_value(name: str, part: str = "") -> str:
    """Of a node's output, or of a part of the node: begins with a stroke, which no name of a record has."""
    return f"/{name}/{part}" if part else f"/{name}"


class GraphWriter:
    """Collects nodes and constants. Values are called after the nodes that give them."""

    def __init__(self) -> None:
        self.nodes = list[Any]()
        self.constants = list[Any]()

    def add(self, operation: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its output, which is its own."""
        self.nodes.append(onnx.helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def add_constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds an array of its own type."""
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add_int4(self, name: str, values: NDArray[np.int8]) -> str:
        """Adds integers of -8 to 7, two to a byte, the first in the lower half."""
        nibbles = (values.reshape(-1) & 15).astype(np.uint8)
        if len(nibbles) % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        packed = (nibbles[0::2] | nibbles[1::2] << 4).tobytes()
        self.constants.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT4, values.shape, packed, raw=True))
        return name
