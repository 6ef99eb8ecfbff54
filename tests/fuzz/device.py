"""`python -m tests.fuzz.device [--inputs 1000000] [--seed 0]`: the decoder of the C export against damaged files.

It is built with GCC's AddressSanitizer and UBSan. A device decodes the file that it was exported with; these are
others of the same size under a right checksum, so that the decoder itself sees them. It must end, within the memory
that it was given, and say what it thinks of each.
"""

from __future__ import annotations

import argparse
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.mutations import build_networks, flip_bits, seal, write_in_any_way
from tests.worker.exports.integer_networks import draw_integers
from worker.checkpoint_facts import describe_model
from worker.exports.c.archive import CODER, DECODER, SOURCES
from worker.exports.c.compressed import CompressedSource, write_compressed
from worker.model_heads import TONOK_HEAD_BYTES

OPTIONS = ("-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DTONOK_DEVICE")
MAIN = """
/* Decodes each file on standard input: the network's number, the size, the bytes. Prints how many were decoded and how
 * many refused. Memory is of the heap, to the byte, so that whatever lies behind it is seen. */
int main(void) {
    uint32_t head[2];
    long decoded = 0, refused = 0;
    while (fread(head, sizeof head, 1, stdin) == 1) {
        const struct network *network = &networks[head[0]];
        struct tonok_file file = network->file;
        uint8_t *bytes = malloc(head[1]), *packed = malloc(network->packed_bytes);
        if (fread(bytes, 1, head[1], stdin) != head[1]) return 2;
        file.bytes = bytes;
        file.size = head[1];
        struct tonok_workspace workspace = network->workspace;
        workspace.words = malloc(4 * workspace.num_words);
        workspace.halves = malloc(2 * workspace.num_halves);
        workspace.bytes = malloc(workspace.num_bytes);
        if (tonok_decode(&file, network->layers, network->num_layers, &workspace, packed) == 0)
            decoded++;
        else
            refused++;
        free(bytes);
        free(packed);
        free(workspace.words);
        free(workspace.halves);
        free(workspace.bytes);
    }
    printf("%ld %ld\\n", decoded, refused);
    return 0;
}
"""


LARGER = (("mlp", (8,)), ("lenet5", (3, 6, 16, 8)), ("resnet_small", (4, 4, 8, 8)), ("depthwise_cnn", (4, 8, 8)))
"""Networks of a few thousand weights: those of `build_networks` have a handful."""
SMALL_FILES_EACH = 10
"""As many small ones are made for one larger."""


def list_files(seed: int) -> list[bytes]:
    """Valid files, the larger ones first: of every kind, and walked in every way."""
    rng = random.Random(seed)
    records = [describe_model(name, widths, num_classes=10) for name, widths in LARGER]
    larger = [draw_integers(record, seed + place) for place, record in enumerate(records)]
    small = [network for network in build_networks(seed) if network.layers]
    return [write_in_any_way(rng, network) for network in (*larger, *larger, *small)]


def build_decoder(files: list[bytes], folder: Path) -> Path:
    """The program. Raises CalledProcessError."""
    (folder / "coder").mkdir()
    for name in DECODER:
        shutil.copyfile(SOURCES / name, folder / name)
    for source in CODER.glob("kernel*.[ch]"):
        shutil.copyfile(source, folder / "coder" / source.name)
    written = [write_compressed(data) for data in files]
    parts = [_rename(source.constants, number) for number, source in enumerate(written)]
    rows = ",\n".join(_describe(source, number) for number, source in enumerate(written))
    text = f"""\
#include <stdio.h>
#include <stdlib.h>
#include "decoder.h"
struct network {{
    const struct tonok_coded_layer *layers;
    size_t num_layers, packed_bytes;
    struct tonok_workspace workspace;
    struct tonok_file file;
}};
{"".join(parts)}
"""
    fill = "".join(f"    networks[{number}].file = file_{number};\n" for number in range(len(files)))
    main = MAIN.replace("    uint32_t head[2];\n", f"{fill}    uint32_t head[2];\n", 1)
    (folder / "fuzz.c").write_text(f"{text}static struct network networks[] = {{\n{rows}\n}};\n{main}", "utf-8")
    sources = ["fuzz.c", "decoder.c", "coder/kernel.c", "coder/kernel_blocks.c"]
    subprocess.run(["gcc", *OPTIONS, "-o", "fuzz", *sources], cwd=folder, check=True)
    return folder / "fuzz"


def _rename(constants: str, number: int) -> str:
    for name in ("file_bytes", "coded_layers"):
        constants = constants.replace(name, f"{name}_{number}")
    return constants.replace("struct tonok_file file ", f"struct tonok_file file_{number} ")


def _describe(source: CompressedSource, number: int) -> str:
    sizes = source.workspace
    workspace = f"{{NULL, NULL, NULL, {sizes.words}, {sizes.halves}, {sizes.bytes}}}"
    layers = f"coded_layers_{number}"
    return f"    {{{layers}, sizeof {layers} / sizeof *{layers}, {source.packed_bytes}, {workspace}, {{0}}}}"


def make_inputs(files: list[bytes], seed: int, count: int) -> Iterator[bytes]:
    """As the program reads them: bits flipped, or all from some place on by lot."""
    rng, num_larger = random.Random(seed), 2 * len(LARGER)
    for place in range(count):
        is_larger = place % (SMALL_FILES_EACH + 1) == 0
        number = rng.randrange(num_larger) if is_larger else rng.randrange(num_larger, len(files))
        body = files[number][TONOK_HEAD_BYTES:]
        if rng.random() < 0.5:
            changed = flip_bits(rng, body)
        else:
            kept = rng.randrange(len(body) + 1)
            changed = body[:kept] + rng.randbytes(len(body) - kept)
        data = seal(changed)
        yield struct.pack("=2I", number, len(data)) + data


def run(seed: int, count: int) -> tuple[int, int]:
    """How many were decoded and how many refused. Raises CalledProcessError where the program did not end well."""
    files = list_files(seed)
    with tempfile.TemporaryDirectory() as folder:
        program = build_decoder(files, Path(folder))
        with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for data in make_inputs(files, seed, count):
                process.stdin.write(data)
            process.stdin.close()
            said = process.stdout.read()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, "fuzz")
    decoded, refused = map(int, said.split())
    return decoded, refused


def main() -> int:
    """0 where every input ended well."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.device", description="Damaged files for a device.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        decoded, refused = run(arguments.seed, arguments.inputs)
    except (subprocess.CalledProcessError, BrokenPipeError) as error:
        print(f"a finding: {error}; what was wrong is above")
        return 1
    seconds = time.monotonic() - started
    print(f"{decoded + refused} inputs, {decoded} decoded, {refused} refused, 0 findings, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
