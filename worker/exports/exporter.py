"""What a target of exports does: writes a network to a file, and runs that file by a runtime of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.catalog import SourceForm, WeightType
from worker.exports.float_network import FloatNetwork, Floats
from worker.integer_network import IntegerNetwork
from worker.results.export import ExportMemory

AnyNetwork = IntegerNetwork | FloatNetwork
Variant = WeightType | SourceForm


@dataclass(frozen=True)
class StoredArrays:
    """A stored network, and the file that it was read from."""

    network: AnyNetwork
    file: Path


class Program(Protocol):
    """An exported network that runs. runtime: its name and version. threads: that it computes in."""

    runtime: str
    threads: int

    def answer(self, pictures: NDArray[np.uint8]) -> Floats:
        """The logits (B, classes) of pictures (B, C, H, W)."""

    def time(self, pictures: NDArray[np.uint8]) -> list[float]:
        """Milliseconds of each of the pictures, one after the other."""


class NoRuntime(Exception):
    """What would run the file is not there. Says what is missing."""


@dataclass(frozen=True)
class DeviceAnswers:
    """What a board answered of the first pictures, as many as there was time for.

    logits: (B, classes). instructions: of each picture. set_up_instructions: of what is done once before them; None
    where nothing is. stack_bytes: the most that any of these took.
    """

    logits: Floats
    instructions: tuple[int, ...]
    stack_bytes: int
    set_up_instructions: int | None


class Device(Protocol):
    """An exported network on an emulated board. flash_bytes, static_bytes: what it takes there, the stack aside."""

    board: str
    core: str
    compiler: str
    emulator: str
    flash_bytes: int
    static_bytes: int

    def answer(self, pictures: NDArray[np.uint8], limit_s: float) -> DeviceAnswers:
        """Runs pictures (B, C, H, W) for so long at most. Raises NoDevice."""


class NoDevice(Exception):
    """What keeps a file from being run on an emulated board. Says why, in words about the file."""


class Exporter(Protocol):
    """One target. suffix: of its files, without the dot."""

    suffix: str

    def choose_variant(self, network: AnyNetwork, wanted: Variant | None) -> Variant | None:
        """How the file holds the weights; None where it does so in its plain way. Raises InvalidModel."""

    def write(self, stored: StoredArrays, variant: Variant | None, name: str, path: Path) -> ExportMemory | None:
        """Writes the file; returns what it needs where that is known. name: what it calls the network."""

    def describe_difference(self, num_examples: int, num_identical: int, agreement: float | None) -> str | None:
        """Says what of the file's answers is not as it must be; None where all is. agreement: where it was counted."""

    def open(self, path: Path, folder: Path, threads: int) -> Program:
        """Makes a program of the file. folder: for what that takes, empty. Raises NoRuntime."""

    def open_device(self, path: Path, folder: Path, memory: ExportMemory | None) -> Device | None:
        """Puts the file on an emulated board; None where the target is for none. Raises NoDevice."""
