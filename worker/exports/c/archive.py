"""The files of a network in C, in one zip file."""

from __future__ import annotations

import zipfile
from pathlib import Path

from worker.coding import kernel
from worker.exports.c.cortex_m import PACKAGES
from worker.exports.c.network_source import NetworkSource, write_network
from worker.integer_network import IntegerNetwork

SOURCES = Path(__file__).with_name("sources")
CODER = Path(kernel.__file__).parent
"""Where the coder's own sources lie."""
COPIED = ("kernels.h", "kernels.c", "main.c", "Makefile")
"""Files that are the same for every network."""
FOR_CORTEX_M = tuple(
    f"cortex_m/{name}" for name in ("Makefile", "board.c", "board.h", "main.c", "mps2_an386.ld", "startup.c")
)
"""Files that run it on an emulated microcontroller."""
DECODER = ("decoder.h", "decoder.c")
"""What a compressed network takes besides, and the coder's sources."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file, so that the same network is the same bytes."""
_UNIX = 3


def write_files(source: NetworkSource, name: str) -> dict[str, str]:
    """Name → text of every file. name: the model's."""
    decoder = DECODER if source.compressed else ()
    copied = {each: (SOURCES / each).read_text("utf-8") for each in (*COPIED, *decoder, *FOR_CORTEX_M)}
    if source.compressed:
        copied |= {f"coder/{file.name}": file.read_text("utf-8") for file in sorted(CODER.glob("kernel*.[ch]"))}
    return {"README.md": _write_readme(source, name), "network.h": source.header, "network.c": source.body} | copied


def save_archive(network: IntegerNetwork, name: str, path: Path, file: bytes | None = None) -> NetworkSource:
    """Writes the zip file, and returns what it was made of. file, errors: of `write_network`."""
    source = write_network(network, file)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, text in write_files(source, name).items():
            entry = zipfile.ZipInfo(f"network/{each}", _DATE)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return source


def _write_readme(source: NetworkSource, name: str) -> str:
    buffers, compressed = source.buffers, source.compressed
    if compressed is None:
        flash, others = "packed weights, scales and biases", "`kernels.h` and `kernels.c`"
        loading = kept = ""
    else:
        kept = " but the weights, in the caller's memory"
        flash = f"the {source.weight_bytes} bytes of the `.tonok` file, scales and biases"
        others = "`kernels.*`, `decoder.*` and the folder `coder`"
        loading = f"""
The weights are decoded once, by `network_load`, before the first picture: from then on they take \
{compressed.packed_bytes} bytes of RAM. Decoding takes {compressed.workspace.num_bytes} bytes besides, which are then \
those that the network computes in; and some five kilobytes of stack, whatever the network.
"""
    return f"""\
# {name} in C

C99, no allocation, nothing kept between calls{kept}. Of the C library it takes `memcpy`, `memset` and what is exact
everywhere: `rintf`, `rint`, `fabs` and `ldexp`. Its logits are those of the pass over the integers, bit for bit.

    make                          # builds `classify`
    ./classify < pictures.raw     # a line for each picture: the class's number and name; see main.c for more

A picture is its pixels of 0 to 255, one byte each: all of the first channel row by row, then those of the next.

| Memory | Bytes | What |
|---|---|---|
| flash | {source.constant_bytes} | {flash}; the code comes on top, see `size classify` |
| RAM | {source.ram_bytes} | `struct network_memory`, given by the caller; a few hundred bytes of stack |
{loading}
To compute it takes {4 * buffers.values} bytes of values between operations, {buffers.bytes} of what a layer reads, \
{buffers.filter} of one output's weights and {4 * buffers.sums} of one row of sums.

On an emulated microcontroller, a Cortex-M4, where arm-none-eabi-gcc and qemu-system-arm are (on Debian:
`apt-get install {PACKAGES}`), with pictures in `pictures.raw`:

    make cortex-m                 # a line for each picture: class, instructions, bytes of stack, bits of the logits

It prints the program's sections first: `.text` and `.data` are what the network takes of flash, `.data` and `.bss` of
RAM, where the stack comes on top. Instructions are counted to ten. What is in `cortex_m` is all that a board needs
beside the network: another one takes its own `board.c` and memories.

In a program of your own: `network.h`, `network.c`, {others}, built with `-ffp-contract=off` and
without `-ffast-math`{"" if compressed is None else ", with `-DTONOK_DEVICE`"}; with `-ffunction-sections` and the \
linker's `--gc-sections`, kernels that the network does not call take no flash.
"""
