"""Exported networks, built by a compiler and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.exports.c.archive import COPIED, SOURCES, write_files
from worker.exports.c.network_source import NetworkSource, write_network
from worker.integer_network import IntegerNetwork

WARNINGS = "-Wpedantic -Wconversion -Wshadow -Wdouble-promotion -Werror"
SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
BUILDS = (*((compiler, level) for compiler in ("gcc", "clang") for level in ("-O2", "-O3")), ("gcc", SANITIZERS))


def find_compiler(name: str) -> str | None:
    return shutil.which(name)


def lay_files(network: IntegerNetwork, folder: Path, file: bytes | None = None) -> NetworkSource:
    """Writes the exported files, and returns what they were made of. file: of `write_network`."""
    source = write_network(network, file)
    for name, text in write_files(source, "tested").items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return source


def build_program(
    network: IntegerNetwork, folder: Path, compiler: str, options: str, file: bytes | None = None
) -> Path:
    """The program that `make` builds of the exported files. file: of `write_network`."""
    lay_files(network, folder, file)
    # The same for every network, and most of what there is to compile.
    (folder / "kernels.o").write_bytes(compile_kernels(compiler, options))
    make(folder, compiler, options, "classify")
    return folder / "classify"


@cache
def compile_kernels(compiler: str, options: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            shutil.copyfile(SOURCES / name, Path(folder, name))
        make(Path(folder), compiler, options, "kernels.o")
        return Path(folder, "kernels.o").read_bytes()


def make(folder: Path, compiler: str, options: str, target: str) -> None:
    command = ["make", "-s", "-C", str(folder), f"CC={compiler}", f"CFLAGS={options} {WARNINGS}", target]
    subprocess.run(command, env=without_make(), check=True, capture_output=True, text=True)


def without_make() -> dict[str, str]:
    """The environment but for what `make test` hands down."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}


def run_program(program: Path, pictures: NDArray[np.uint8]) -> tuple[list[str], NDArray[np.float32]]:
    """What it says of each picture, and the logits."""
    done = subprocess.run([program, "--logits"], input=pictures.tobytes(), capture_output=True, check=True)
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return [line[0] for line in lines], np.array(
        [[float.fromhex(one) for one in line[1:]] for line in lines], np.float32
    )
