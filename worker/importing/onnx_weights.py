"""The weights of an ONNX file as arrays, by the names of the record's tensors."""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.importing.checks import Array, check_arrays
from worker.network.importers.onnx_file import OnnxNetwork, read_onnx
from worker.network.importers.onnx_messages import TensorType
from worker.network.importers.onnx_values import ChannelShift, FoldedWeight, StoredWeight, Weight
from worker.network.operations.base import InvalidNetwork, Shape

_DTYPES = {TensorType.FLOAT: "<f4", TensorType.FLOAT16: "<f2", TensorType.DOUBLE: "<f8", TensorType.BFLOAT16: "<u2"}


def load_onnx(path: Path) -> tuple[OnnxNetwork, dict[str, Array]]:
    """The structure, and name → float32 array of the shape that the record says. Raises InvalidNetwork.

    Arrays of one tensor that two layers share are copies: the record knows no sharing.
    """
    found = read_onnx(path)
    shapes = found.network.tensors
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        arrays = {name: _make_array(data, found.weights[name], shape) for name, shape in shapes.items()}
    check_arrays(found.network, arrays)
    return found, arrays


def _make_array(data: mmap.mmap, weight: Weight, shape: Shape) -> Array:
    if isinstance(weight, ChannelShift):
        array: Array = np.zeros(shape, np.float32)
        places = np.arange(shape[1])
        array[places + weight.first, places] = 1
        return array
    values = _fold(data, weight, shape) if isinstance(weight, FoldedWeight) else _read_shaped(data, weight, shape)
    with np.errstate(over="ignore"):  # What is too large is refused with what was not finite in the file.
        return np.ascontiguousarray(values.astype(np.float32))


def _fold(data: mmap.mmap, weight: FoldedWeight, shape: Shape) -> npt.NDArray[Any]:
    """In 64 bits, rounded once."""
    gain, shift, mean, variance = (_read_shaped(data, each, shape[:1]).astype(np.float64) for each in weight.norm)
    stored = np.zeros(shape) if weight.stored is None else _read_shaped(data, weight.stored, shape).astype(np.float64)
    with np.errstate(all="ignore"):
        factor = gain / np.sqrt(variance + weight.eps)
        of_row = factor.reshape(-1, *[1] * (len(shape) - 1))
        return of_row * stored if len(shape) > 1 else (stored - mean) * factor + shift


def _read_shaped(data: mmap.mmap, weight: StoredWeight, shape: Shape) -> npt.NDArray[Any]:
    values = _read_values(data, weight)
    return values.reshape(shape[::-1]).T if weight.lies_transposed else values.reshape(shape)


def _read_values(data: mmap.mmap, weight: StoredWeight) -> npt.NDArray[Any]:
    tensor = weight.tensor
    kind, span = TensorType(tensor.data_type), tensor.data
    if span is None:
        raise InvalidNetwork(f"tensor {tensor.name!r:.80}: it has no values")
    # A copy: nothing may point into the file once it is closed.
    values = np.frombuffer(data, _DTYPES[kind], math.prod(tensor.dims), span.start).copy()
    if kind == TensorType.BFLOAT16:
        # The upper half of a 32-bit float.
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values
