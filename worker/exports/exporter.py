"""What a target of exports does: writes a network to a file, and runs that file by a runtime of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.catalog import WeightType
from worker.exports.float_network import FloatNetwork, Floats
from worker.integer_network import IntegerNetwork
from worker.results.export import ExportMemory

AnyNetwork = IntegerNetwork | FloatNetwork


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


class Exporter(Protocol):
    """One target. suffix: of its files, without the dot."""

    suffix: str

    def choose_weight_type(self, network: AnyNetwork, wanted: WeightType | None) -> WeightType | None:
        """Of the weights in the file; None where each layer has its own. Raises InvalidModel."""

    def write(self, network: AnyNetwork, weight_type: WeightType | None, name: str, path: Path) -> ExportMemory | None:
        """Writes the file; returns what it needs where that is known. name: what it calls the network."""

    def open(self, path: Path, folder: Path, threads: int) -> Program:
        """Makes a program of the file. folder: for what that takes, empty. Raises NoRuntime."""
