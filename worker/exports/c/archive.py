"""The files of a network in C, in one zip file."""

from __future__ import annotations

import zipfile
from pathlib import Path

from worker.exports.c.cortex_m import PACKAGES
from worker.exports.c.network_source import NetworkSource, write_network
from worker.integer_network import IntegerNetwork

SOURCES = Path(__file__).with_name("sources")
COPIED = ("kernels.h", "kernels.c", "main.c", "Makefile")
"""Files that are the same for every network."""
FOR_CORTEX_M = tuple(
    f"cortex_m/{name}" for name in ("Makefile", "board.c", "board.h", "main.c", "mps2_an386.ld", "startup.c")
)
"""Files that run it on an emulated microcontroller."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file, so that the same network is the same bytes."""
_UNIX = 3


def write_files(source: NetworkSource, name: str) -> dict[str, str]:
    """Name → text of every file. name: the model's."""
    copied = {each: (SOURCES / each).read_text("utf-8") for each in (*COPIED, *FOR_CORTEX_M)}
    return {"README.md": _write_readme(source, name), "network.h": source.header, "network.c": source.body} | copied


def save_archive(network: IntegerNetwork, name: str, path: Path) -> NetworkSource:
    """Writes the zip file, and returns what it was made of. Raises InvalidModel as `write_network` does."""
    source = write_network(network)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, text in write_files(source, name).items():
            entry = zipfile.ZipInfo(f"network/{each}", _DATE)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return source


def _write_readme(source: NetworkSource, name: str) -> str:
    buffers = source.buffers
    return f"""\
# {name} in C

C99, no allocation, nothing kept between calls. Of the C library it takes `memcpy`, `memset` and what is exact
everywhere: `rintf`, `rint`, `fabs` and `ldexp`. Its logits are those of the pass over the integers, bit for bit.

    make                          # builds `classify`
    ./classify < pictures.raw     # a line for each picture: the class's number and name; see main.c for more

A picture is its pixels of 0 to 255, one byte each: all of the first channel row by row, then those of the next.

| Memory | Bytes | What |
|---|---|---|
| flash | {source.constant_bytes} | packed weights, scales and biases; the code comes on top, see `size classify` |
| RAM | {buffers.num_bytes} | `struct network_memory`, given by the caller; a few hundred bytes of stack |

Of RAM, {4 * buffers.values} bytes are values between operations, {buffers.bytes} what a layer reads, \
{buffers.filter} one output's weights and {4 * buffers.sums} one row of sums.

On an emulated microcontroller, a Cortex-M4, where arm-none-eabi-gcc and qemu-system-arm are (on Debian:
`apt-get install {PACKAGES}`), with pictures in `pictures.raw`:

    make cortex-m                 # a line for each picture: class, instructions, bytes of stack, bits of the logits

It prints the program's sections first: `.text` and `.data` are what the network takes of flash, `.data` and `.bss` of
RAM, where the stack comes on top. Instructions are counted to ten. What is in `cortex_m` is all that a board needs
beside the network: another one takes its own `board.c` and memories.

In a program of your own: `network.h`, `network.c`, `kernels.h` and `kernels.c`, built with `-ffp-contract=off` and
without `-ffast-math`; with `-ffunction-sections` and the linker's `--gc-sections`, kernels that the network does not
call take no flash.
"""
