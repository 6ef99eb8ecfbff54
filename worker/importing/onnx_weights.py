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
from worker.network.importers.onnx_values import ChannelShift, StoredWeight, Weight
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
    values = _read_values(data, weight)
    with np.errstate(over="ignore"):
        array = values.astype(np.float32)
    array = array.reshape(shape[::-1]).T if weight.lies_transposed else array.reshape(shape)
    return np.ascontiguousarray(array)


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
