"""The floats of all layers at once, as files of version 2 hold them: large networks have more than single decisions.

Of all values first how far their exponents lie below the largest of their array, then the signs, then the mantissas.
The first two are coded in blocks as weights are: as integers of 8 bits, and of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.fields import EVEN, Fields
from worker.coding.weights import code_blocks

_MANTISSA_BITS = 23
_LARGEST_EXPONENT = 254
_ZERO = -1
"""Stands for an exponent field of zero."""
_FAR = 128
"""From here on a distance takes the negative integers below that: 128 is -2."""


def code_float_blocks(fields: Fields, kind: str, arrays: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """arrays: of a reader, of the right sizes. Returns those in the file. Raises InvalidModel where they cannot be."""
    if not arrays:
        return []
    bits = np.concatenate(arrays).view(np.uint32).astype(np.int64)
    exponents, mantissas = bits >> _MANTISSA_BITS & 255, bits & (1 << _MANTISSA_BITS) - 1
    together = int(np.bitwise_or.reduce(mantissas))
    unused = (together & -together).bit_length() - 1 if together else _MANTISSA_BITS
    kept = fields.repeated(f"{kind} mantissa bits", _MANTISSA_BITS - unused, _MANTISSA_BITS)
    counts = [len(array) for array in arrays]
    ends = np.cumsum(counts)
    tops = [int(part.max()) for part in np.split(exponents, ends[:-1])]
    tops = [fields.repeated(f"{kind} exponent", top, _LARGEST_EXPONENT) for top in tops]
    top = np.repeat(np.array(tops, np.int64), counts)
    exponents = _code_exponents(fields, kind, exponents, top)
    negative = -code_blocks(fields.coder, -(bits >> 31).astype(np.int8), 1).astype(np.int64)
    shifts = np.arange(_MANTISSA_BITS - 1, _MANTISSA_BITS - 1 - kept, -1)
    coded = (mantissas[:, None] >> shifts & 1).astype(np.int32).reshape(-1)
    planes = fields.coder.code_block(EVEN, coded).reshape(len(bits), kept).astype(np.int64)
    read = (negative << 8 | exponents) << _MANTISSA_BITS | (planes << shifts).sum(axis=1)
    return np.split(read.astype(np.uint32).view(np.float32), ends[:-1])


def _code_exponents(
    fields: Fields, kind: str, exponents: NDArray[np.int64], top: NDArray[np.int64]
) -> NDArray[np.int64]:
    below = np.clip(top - exponents, 0, 253)  # A reader's own values may lie anywhere.
    near = np.where(below < _FAR, below, _FAR - 2 - below)
    coded = np.where(exponents == 0, _ZERO, near).astype(np.int8)
    read = code_blocks(fields.coder, coded, 8).astype(np.int64)
    apart = np.where(read >= 0, read, _FAR - 2 - read)
    found = np.where(read == _ZERO, 0, top - apart)
    if (found[read != _ZERO] < 1).any():
        raise InvalidModel(f"A {kind} of the file has no valid exponent.", field=kind)
    return found
