"""Files of models whose heads make sense, whatever lies behind them."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

FACTS: dict[str, Any] = {
    "architecture": "mlp", "widths": [4], "input_shape": [1, 28, 28], "class_names": list("0123456789"), "mean": 0.3,
    "std": 0.3, "dataset": "digits", "split_seed": 0, "num_train_examples": 1000,
}  # fmt: skip
ZIP = b"PK\x03\x04"
"""What the head of a data set's file begins with; only a worker looks further."""
SHAPES = {"layers.0.weight": [4, 784], "layers.0.bias": [4], "layers.1.weight": [10, 4], "layers.1.bias": [10]}


def frame(content: bytes) -> bytes:
    """A compressed file with this behind its head, where only a worker looks."""
    return b"TK\x01" + zlib.crc32(content).to_bytes(4, "big") + content


def build_checkpoint(facts: Mapping[str, Any] | None = FACTS, dtype: str = "F32", **tensors: Any) -> bytes:
    """A safetensors file of a small perceptron, zeros throughout. facts: None for a file without Tonok's metadata.

    tensors: lines of the header in place of those that would be written, by name.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    if facts is not None:
        header["__metadata__"]["tonok"] = json.dumps(facts)
    end = 0
    for name, shape in SHAPES.items():
        start, end = end, end + {"F32": 4, "F16": 2, "F64": 8}[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return pack(header | tensors, bytes(end))


def pack(header: Any, content: bytes) -> bytes:
    """A file of this header and these bytes of tensors."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content
