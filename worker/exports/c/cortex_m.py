"""An exported archive on an emulated microcontroller: built by a cross compiler, run by QEMU.

Instructions are counted by the board's timer while QEMU makes each take 4 ns (`-icount shift=2`): the count is the same
in every run, and its resolution is the timer's tick of 40 ns, which is ten instructions.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.exports.c.program import BUILD_S, make_archive
from worker.exports.exporter import DeviceAnswers, NoDevice
from worker.results.export import ExportMemory

PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
"""Of Debian, which have all that this takes."""
FLASH_BYTES = RAM_BYTES = 4 << 20
"""Of the board, as mps2_an386.ld has them."""
_COMPILER, _SIZE, _EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
_CORE = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
"""As cortex_m/Makefile has them."""
_OPTIONS = (
    *("-machine", "mps2-an386", "-icount", "shift=2"),
    *("-semihosting-config", "enable=on,target=native,chardev=console", "-chardev", "stdio,id=console"),
    *("-display", "none", "-monitor", "none", "-serial", "none"),
)
_OVERFLOW = re.compile(r"region `(FLASH|RAM)' overflowed by (\d+) bytes")


class CortexMProgram:
    """The program network.elf. static_bytes: of RAM, beside the stack."""

    board, core = "mps2-an386", "Cortex-M4"

    def __init__(self, folder: Path, tools: dict[str, str]) -> None:
        self._folder, self._emulator = folder, tools[_EMULATOR]
        self.compiler, self.emulator = _read_version(tools[_COMPILER]), _read_version(tools[_EMULATOR])
        sections = _read_sections(tools[_SIZE], folder / "cortex_m" / "network.elf")
        self.flash_bytes = sections[".text"] + sections[".data"]
        self.static_bytes = sections[".data"] + sections[".bss"]

    def answer(self, pictures: NDArray[np.uint8], limit_s: float) -> DeviceAnswers:
        (self._folder / "pictures.raw").write_bytes(pictures.tobytes())
        command = [self._emulator, *_OPTIONS, "-kernel", "cortex_m/network.elf"]
        try:
            done = subprocess.run(  # noqa: S603 - the machine's QEMU
                command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=True
            )
            printed = done.stdout
        except subprocess.TimeoutExpired as late:
            printed = late.stdout or b""
        except subprocess.CalledProcessError as error:
            said = (error.stdout + error.stderr).decode(errors="replace").strip() or "nothing"
            raise NoDevice(f"it ended with {error.returncode} and said: {said.splitlines()[-1]}") from None
        return _read_answers(printed.decode(), len(pictures), limit_s)


def build_for_cortex_m(archive: Path, folder: Path, memory: ExportMemory) -> CortexMProgram:
    """Unpacks an archive that `save_archive` wrote, and builds it for the board. Raises NoDevice."""
    _check_fits("flash", memory.constant_bytes, FLASH_BYTES)
    _check_fits("RAM", memory.ram_bytes, RAM_BYTES)
    tools = find_tools()
    try:
        make_archive(archive, folder, tools["make"], "network/cortex_m")
    except subprocess.TimeoutExpired:
        raise NoDevice(f"it takes a compiler that builds it within {BUILD_S} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        if (overflow := _OVERFLOW.search(said)) is None:
            raise NoDevice(f"it could not be built: {said.splitlines()[-1] if said else 'no reason given'}") from error
        name, size = {"FLASH": ("flash", FLASH_BYTES), "RAM": ("RAM", RAM_BYTES)}[overflow[1]]
        _check_fits(name, size + int(overflow[2]), size)
    return CortexMProgram(folder / "network", tools)


def _check_fits(name: str, num_bytes: int, limit: int) -> None:
    if num_bytes > limit:
        raise NoDevice(f"it takes {num_bytes:,} bytes of {name}, of which the {CortexMProgram.board} has {limit:,}")


def find_tools() -> dict[str, str]:
    """Name → path. Raises NoDevice where one is missing, or the compiler's C library."""
    tools = {name: path for name in ("make", _COMPILER, _SIZE, _EMULATOR) if (path := shutil.which(name)) is not None}
    if len(tools) == 4:
        # What it does not find, it answers as it was asked.
        asked = subprocess.run(  # noqa: S603 - the machine's compiler
            [tools[_COMPILER], *_CORE, "-print-file-name=libc.a"], check=True, capture_output=True, text=True
        )
        if Path(asked.stdout.strip()).is_absolute():
            return tools
    raise NoDevice(f"it takes a cross compiler and an emulator (on Debian: apt-get install make {PACKAGES})")


def _read_version(tool: str) -> str:
    told = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True)  # noqa: S603
    return told.stdout.splitlines()[0]


def _read_sections(size: str, program: Path) -> dict[str, int]:
    """Bytes of each section of a program."""
    told = subprocess.run([size, "-A", program], check=True, capture_output=True, text=True)  # noqa: S603
    return {name: int(count) for name, count in re.findall(r"^(\.\S+)\s+(\d+)", told.stdout, flags=re.MULTILINE)}


def _read_answers(printed: str, num_pictures: int, limit_s: float) -> DeviceAnswers:
    """Reads the lines of main.c. A program that was ended left the last one unfinished."""
    lines = [line.split() for line in printed.split("\n")[:-1]]
    set_up = lines.pop(0) if lines and lines[0][0] == "set-up" else None
    if not lines:
        raise NoDevice(f"not one of {num_pictures} pictures was done within {limit_s:g} s")
    bits = np.array([[int(word, 16) for word in line[3:]] for line in lines], np.uint32)
    return DeviceAnswers(
        logits=bits.view(np.float32),
        instructions=tuple(int(line[1]) for line in lines),
        stack_bytes=max(int(line[2]) for line in (lines if set_up is None else [set_up, *lines])),
        set_up_instructions=None if set_up is None else int(set_up[1]),
    )
