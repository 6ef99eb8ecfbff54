"""The coder's inner loops in C, where a compiler has built them: `python -m worker.coding` (`make setup` does).

kernel.c is a translation of `weights._code_mixed` and of the range decoder, kernel_blocks.c of `weights._PlainBlocks`.
Without them the Python beside them does the same, some twenty times slower.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import subprocess
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.mixing import MixedBit
from worker.coding.ranges import (
    COST_BITS,
    MAX_DECISIONS,
    BitCoder,
    CostMeter,
    RangeReader,
    RangeWriter,
    choose_shortest,
)
from worker.coding.tables import LOGIT, PROBABILITY

SOURCE = Path(__file__).with_name("kernel.c")
_THIS_SOURCE = Path(__file__).read_bytes()
"""As it was imported: the structures below must be those that the library was built for."""
OUTSIDE_OF_BITS = "A weight lies outside the bits of its layer."
MAX_BLOCK = 4096
"""Integers of one block at most."""
NUM_NODES = 512
_FEW_CONTEXTS = 512
_FUNCTIONS = (
    *("open", "open_writer", "close_writer", "read", "write", "read_block", "write_block"),
    *(f"{does}_{what}" for does in ("read", "write", "measure") for what in ("layer", "integers")),
)
# What files cost is added up as Python adds: without fused multiply-adds.
_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared")
_LOGIT = np.array(LOGIT, np.int32)
_PROBABILITY = np.array(PROBABILITY, np.int32)
_COSTS = np.array(COST_BITS, np.float64)


class _Mixer(ctypes.Structure):
    _fields_ = (("num_inputs", ctypes.c_int64), ("weights", ctypes.c_void_p), ("counts", ctypes.c_void_p))


class _Logistic(ctypes.Structure):
    _fields_ = (("logits", ctypes.c_void_p), ("probabilities", ctypes.c_void_p))


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("rows", "columns", "num_live_rows", "num_live_columns")),
        *((name, ctypes.c_void_p) for name in ("live_rows", "live_columns")),
        *((name, ctypes.c_uint32) for name in ("positions", "stride", "by_column", "bit_width")),
        *((name, ctypes.c_void_p) for name in ("weight", "read", "num_contexts")),
        *((name, _Mixer) for name in ("nonzero", "negative", "magnitude")),
    )


class _Reader(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_char_p),
        *((name, ctypes.c_uint64) for name in ("size", "next", "lower", "range", "point")),
        ("decisions_left", ctypes.c_int64),
    )


class _Writer(ctypes.Structure):
    _fields_ = (
        ("words", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("size", "capacity", "lower", "range")),
        ("decisions_left", ctypes.c_int64),
    )


def _list_sources() -> list[Path]:
    return sorted(SOURCE.parent.glob("kernel*.[ch]"))


def find_library() -> Path:
    """Where the compiled kernel lies: its name changes with each source, so that a stale one is never loaded."""
    content = b"".join(file.read_bytes() for file in _list_sources())
    digest = hashlib.sha256(content + _THIS_SOURCE).hexdigest()[:16]
    return SOURCE.with_name(f"kernel-{platform.machine()}-{digest}.so")


@functools.cache
def load_kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or None where there is none that can be loaded."""
    try:
        library = ctypes.CDLL(str(find_library()))
        for name in _FUNCTIONS:
            getattr(library, f"tonok_{name}")  # raises AttributeError where it lacks one
    except (OSError, AttributeError):
        return None
    return library


def compile_kernel(compiler: str | None = None) -> Path:
    """Builds the kernel. compiler: a command, else `$CC`, else `cc`.

    Raises OSError, ValueError or CalledProcessError.
    """
    command = shlex.split(compiler or os.environ.get("CC") or "cc")
    target = find_library()
    draft = target.with_suffix(f".{os.getpid()}")
    try:
        sources = [str(file) for file in _list_sources() if file.suffix == ".c"]
        subprocess.run([*command, *_FLAGS, "-o", str(draft), *sources], check=True)  # noqa: S603 - the user's compiler
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    for stale in set(SOURCE.parent.glob(f"kernel-{platform.machine()}-*.so")) - {target}:
        stale.unlink(missing_ok=True)
    return target


class KernelReader:
    """Reads as `RangeReader` does, in C."""

    def __init__(self, library: ctypes.CDLL, data: bytes) -> None:
        self._library, self._data = library, data
        self._state = _Reader()
        library.tonok_open(ctypes.byref(self._state), data, ctypes.c_uint64(len(data)), ctypes.c_int64(MAX_DECISIONS))
        self.pointer = ctypes.byref(self._state)

    def get_state(self) -> tuple[int, int, int, int, int]:
        """Where it stands, as `Bits.get_state` says it."""
        state = self._state
        return state.next, state.lower, state.range, state.point, state.decisions_left

    def transcode(self, probability: int, bit: int) -> int:  # noqa: ARG002 - a reader ignores what it is handed
        return check_status(self._library.tonok_read(self.pointer, probability))

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        read = np.empty(len(bits), np.int32)
        address, count = ctypes.c_void_p(read.ctypes.data), ctypes.c_int64(len(read))
        check_status(self._library.tonok_read_block(self.pointer, probability, address, count))
        return read


class KernelWriter:
    """Writes as `RangeWriter` does, in C."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._state = _Writer()
        self.pointer = ctypes.byref(self._state)
        library.tonok_open_writer(self.pointer, ctypes.c_int64(MAX_DECISIONS))
        weakref.finalize(self, library.tonok_close_writer, self.pointer)

    @property
    def decisions_left(self) -> int:
        return int(self._state.decisions_left)

    def transcode(self, probability: int, bit: int) -> int:
        return check_status(self._library.tonok_write(self.pointer, probability, bit))

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        lent = np.ascontiguousarray(bits, np.int32)
        address, count = ctypes.c_void_p(lent.ctypes.data), ctypes.c_int64(len(lent))
        check_status(self._library.tonok_write_block(self.pointer, probability, address, count))
        return bits

    def finish(self) -> bytes:
        state = self._state
        words = ctypes.string_at(state.words, 4 * state.size) if state.size else b""
        prefix = int.from_bytes(np.frombuffer(words, np.uint32).astype(">u4").tobytes(), "big")
        return choose_shortest((prefix << 64) + state.lower, state.range, len(words) + 8)


def open_writer() -> KernelWriter | RangeWriter:
    """The fastest writer for a range coder that there is."""
    library = load_kernel()
    return RangeWriter() if library is None else KernelWriter(library)


def open_reader(data: bytes) -> BitCoder:
    """The fastest reader of a range coder's bytes that there is."""
    library = load_kernel()
    return RangeReader(data) if library is None else KernelReader(library, data)


def check_status(status: int) -> int:
    """Returns what is no error. Raises InvalidModel or MemoryError."""
    match status:
        case -1:
            raise InvalidModel("The file's coded part is not valid.")
        case -2:
            raise InvalidModel("The file holds more decisions than the format allows.")
        case -3:
            raise MemoryError
        case -4:
            raise InvalidModel("The network takes more decisions than the compressed format allows.")
        case -5:
            raise InvalidModel(OUTSIDE_OF_BITS)
    return status


def _find_kernel(coder: BitCoder) -> ctypes.CDLL | None:
    """The kernel, where it may code in place of this one: by exact type, since whoever overrides how a decision is
    written wants to see each of them.
    """
    return load_kernel() if type(coder) in (KernelWriter, CostMeter, KernelReader) else None


def _code(library: ctypes.CDLL, what: str, coder: BitCoder, *arguments: Any) -> None:
    """Calls the function of the kernel that codes `what` as this coder does."""
    if isinstance(coder, CostMeter):
        bits, costs = ctypes.c_double(coder.bits), ctypes.c_void_p(_COSTS.ctypes.data)
        check_status(getattr(library, f"tonok_measure_{what}")(ctypes.byref(bits), costs, *arguments))
        coder.bits = bits.value
    elif isinstance(coder, KernelReader | KernelWriter):
        does = "read" if isinstance(coder, KernelReader) else "write"
        check_status(getattr(library, f"tonok_{does}_{what}")(coder.pointer, *arguments))


def code_layer(
    coder: BitCoder,
    mixers: Sequence[MixedBit],
    weight: NDArray[np.int8],
    live: tuple[Sequence[int], Sequence[int]],
    walk: tuple[int, int, bool],
    bit_width: int,
) -> NDArray[np.int8] | None:
    """The weights of a layer, as `weights._code_mixed` codes them; None where the kernel cannot.

    weight: (out, columns). live: the rows and columns that are walked. walk: positions, stride, by_column. mixers:
    whether a weight is zero, its sign, its magnitude. Returns what is in the file, same shape.
    """
    library, (positions, stride, by_column) = _find_kernel(coder), walk
    if (
        library is None
        or weight.dtype != np.int8
        or not 0 < weight.size <= MAX_DECISIONS
        or weight.shape[1] % positions
        or stride > positions
    ):
        return None
    kept: list[NDArray[Any]] = []

    def lend(array: NDArray[Any]) -> int:
        kept.append(array)
        return array.ctypes.data

    learnt = [mixer.get_learnt() for mixer in mixers]
    read = np.zeros(weight.shape, np.int8)
    rows, columns = (np.array(indices, np.uint32) for indices in live)
    num_contexts = np.full(3, _FEW_CONTEXTS, np.uint32)  # to begin with; then as many as were met
    is_reader = isinstance(coder, KernelReader)
    layer = _Layer(
        *weight.shape, len(rows), len(columns), lend(rows), lend(columns), positions, stride, by_column, bit_width,
        None if is_reader else lend(np.ascontiguousarray(weight)), read.ctypes.data,
        lend(num_contexts),
        *(_Mixer(weights.shape[1], lend(weights), lend(counts)) for weights, counts in learnt),
    )  # fmt: skip
    logistic = _Logistic(_LOGIT.ctypes.data, _PROBABILITY.ctypes.data)
    _code(library, "layer", coder, ctypes.byref(layer), ctypes.byref(logistic))
    for mixer, (weights, counts) in zip(mixers, learnt, strict=True):
        mixer.set_learnt(weights, counts)
    mixers[-1].note_contexts(num_contexts.tolist())
    return read


def open_blocks(coder: BitCoder, bit_width: int) -> Callable[[NDArray[np.int8]], NDArray[np.int8]] | None:
    """Codes one block of integers after the other as `weights._PlainBlocks` does; None where the kernel cannot."""
    library = _find_kernel(coder)
    if library is None:
        return None
    counts = np.ones((NUM_NODES, 2), np.uint32)

    def code_block(values: NDArray[np.int8]) -> NDArray[np.int8]:
        lent = np.ascontiguousarray(values, np.int8)
        read = np.empty(len(lent), np.int8)
        arrays = (ctypes.c_void_p(array.ctypes.data) for array in (counts, lent, read))
        _code(library, "integers", coder, *arrays, ctypes.c_int64(len(lent)), bit_width)
        return read

    return code_block
