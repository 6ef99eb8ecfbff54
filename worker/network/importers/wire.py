"""The wire format of protocol buffers, read field by field where it lies: nothing is copied, and the work is bounded.

Its own library makes an object of every field before anybody can count: 16 MB of empty nodes took 1.3 GB and 11 s.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from worker.network.operations.base import InvalidNetwork

MAX_FIELDS = 1 << 19
"""Of a whole file: densenet201 has 30,000."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Span:
    """A piece of the file: where it begins, and where the next one does."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class WireReader:
    """Reads the fields of messages of one file. Raises InvalidNetwork at the first fault."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data, self._fields_left = data, MAX_FIELDS

    @property
    def whole(self) -> Span:
        """All of the file."""
        return Span(0, len(self._data))

    def iterate_fields(self, message: Span) -> Iterator[tuple[int, int | Span]]:
        """Number and value of each: an integer where it is a varint, else the place of its bytes."""
        position = message.start
        while position < message.end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise InvalidNetwork(f"the file has more than {MAX_FIELDS} fields")
            key, position = self._read_varint(position, message.end)
            number, wire_type = key >> 3, key & 7
            if wire_type == _VARINT:
                value, position = self._read_varint(position, message.end)
                yield number, value
                continue
            if wire_type == _BYTES:
                length, position = self._read_varint(position, message.end)
            elif wire_type in (_FIXED32, _FIXED64):
                length = 4 if wire_type == _FIXED32 else 8
            else:
                raise InvalidNetwork("the file is damaged, or no ONNX file")
            if length > message.end - position:
                raise InvalidNetwork("the file is cut short, damaged, or no ONNX file")
            yield number, Span(position, position + length)
            position += length

    def _read_varint(self, position: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                break
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position
        raise InvalidNetwork("the file is cut short, damaged, or no ONNX file")

    def read_bytes(self, span: Span) -> bytes:
        """A copy of them."""
        return self._data[span.start : span.end]

    def read_text(self, value: int | Span, most: int = 1024) -> str:
        """A name. most: its bytes."""
        if isinstance(value, int) or len(value) > most:
            raise InvalidNetwork(f"a name in the file is no text of at most {most} bytes")
        try:
            return self.read_bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidNetwork("a name in the file is no UTF-8") from None

    def read_float(self, value: int | Span) -> float:
        """A single one."""
        return self.read_floats(value, 1)[0]

    def read_floats(self, value: int | Span, most: int) -> tuple[float, ...]:
        """One, or many that are packed."""
        if isinstance(value, int) or len(value) % 4 or not 0 < len(value) <= 4 * most:
            raise InvalidNetwork(f"an attribute is no list of at most {most} floats")
        return struct.unpack(f"<{len(value) // 4}f", self.read_bytes(value))

    def read_integers(self, value: int | Span, most: int) -> tuple[int, ...]:
        """Signed ones of 64 bits: one, or many that are packed."""
        if isinstance(value, int):
            return (_make_signed(value),)
        if len(value) > 10 * most:
            raise InvalidNetwork(f"a list has more than {most} integers")
        numbers, position = [], value.start
        while position < value.end:
            number, position = self._read_varint(position, value.end)
            numbers.append(_make_signed(number))
        return tuple(numbers)


def read_integer(value: int | Span) -> int:
    """A signed one of 64 bits."""
    if isinstance(value, Span):
        raise InvalidNetwork("the file is damaged, or no ONNX file")
    return _make_signed(value)


def read_span(value: int | Span) -> Span:
    """The place of a message or of bytes."""
    if isinstance(value, int):
        raise InvalidNetwork("the file is damaged, or no ONNX file")
    return value


def _make_signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
