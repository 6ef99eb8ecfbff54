"""The numbers of a network as C writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH = 118


def pack_weights(weight: NDArray[np.int8], bit_width: int) -> NDArray[np.uint8]:
    """Two's complement of `bit_width` bits each, one behind the other from the lowest bit of the first byte on."""
    codes = weight.reshape(-1).view(np.uint8)
    bits = np.unpackbits(codes[:, None], axis=1, count=bit_width, bitorder="little")
    return np.packbits(bits, bitorder="little")


def write_float(value: float | np.floating[Any]) -> str:
    """A float32, exactly."""
    return f"{float(np.float32(value)).hex()}f"


def write_floats(name: str, values: Iterable[float]) -> str:
    """The definition of an array of floats."""
    written = [write_float(value) for value in values]
    return f"static const float {name}[{len(written)}] = {{\n{_fill_lines(written)}}};\n"


def write_bytes(name: str, values: NDArray[np.uint8]) -> str:
    """The definition of an array of bytes."""
    return f"static const uint8_t {name}[{len(values)}] = {{\n{_fill_lines(list(map(str, values.tolist())))}}};\n"


def write_text(text: str) -> str:
    """A string of UTF-8. Everything but plain letters, digits and a few signs is an octal number of three digits."""
    plain = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-./,:()+")
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _fill_lines(words: Sequence[str]) -> str:
    """The words with commas between them, in lines of equal numbers."""
    per_line = max(1, _WIDTH // (max(map(len, words)) + 1))
    lines = (",".join(words[start : start + per_line]) for start in range(0, len(words), per_line))
    return "".join(f"  {line},\n" for line in lines)
