"""An exported archive, built by the C compiler of this machine and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.exports.exporter import NoRuntime
from worker.exports.float_network import Floats

BUILD_S = 600


class CProgram:
    """The program `classify`. runtime: the compiler that built it."""

    threads = 1

    def __init__(self, path: Path, runtime: str) -> None:
        self._path, self.runtime = path, runtime

    def answer(self, pictures: NDArray[np.uint8]) -> Floats:
        lines = [line.split("\t")[1:] for line in self._run("--logits", pictures)]
        return np.array([[float.fromhex(logit) for logit in line] for line in lines], np.float32)

    def time(self, pictures: NDArray[np.uint8]) -> list[float]:
        return [float(line.rpartition("\t")[2]) for line in self._run("--times", pictures)]

    def _run(self, option: str, pictures: NDArray[np.uint8]) -> list[str]:
        done = subprocess.run([self._path, option], input=pictures.tobytes(), capture_output=True, check=True)  # noqa: S603 - built of our own sources
        return done.stdout.decode().splitlines()


def build_archive(archive: Path, folder: Path) -> CProgram:
    """Unpacks an archive that `save_archive` wrote, and builds it. Raises NoRuntime, CalledProcessError."""
    compiler, make = shutil.which(os.environ.get("CC") or "cc"), shutil.which("make")
    if compiler is None or make is None:
        raise NoRuntime("a C compiler and make (on Debian: apt-get install gcc make libc6-dev)")
    try:
        make_archive(archive, folder, make, "network", f"CC={compiler}", "classify")
    except subprocess.TimeoutExpired:
        raise NoRuntime(f"a compiler that builds it within {BUILD_S} s") from None
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True)  # noqa: S603
    return CProgram(folder / "network" / "classify", version.stdout.decode().splitlines()[0])


def make_archive(archive: Path, folder: Path, make: str, place: str, *arguments: str) -> None:
    """Unpacks an archive and calls make within it. place: in the folder. Raises CalledProcessError, TimeoutExpired."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    command = [make, "--silent", "-C", str(folder / place), *arguments]
    # What `make test` hands down to those that it starts is not for this one, nor a language for its messages.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    environment["LC_ALL"] = "C"
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=BUILD_S)  # noqa: S603 - the machine's compiler
