"""Bytes and speed of the compressed file's weights, beside DeepCABAC (nncodec) on the same integers.

nncodec needs an environment of its own (it pins an older NumPy): name its Python in NNCODEC_PYTHON, or let the rivals'
benchmark make one. Without it the comparison is left out. Arguments: .npz files whose int8 arrays w0, w1, … are the
layers of a network, or .tonok files; without arguments a synthetic network is measured. Rounds alternate, so that a
drift of the machine hits both alike; times are the process's own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.record import CHECKOUT, write_result
from tests.benchmarks.rivals.page import write_page
from tests.worker.coding.networks import build_layer, build_network, build_weight
from worker.coding import compute_entropy_bytes, decode_network, encode_network
from worker.coding.ledger import compute_weight_entropy_bits
from worker.integer_network import IntegerNetwork

ROUNDS = 3
ENVIRONMENT = CHECKOUT / ".tonok" / "rivals" / "environments" / "nncodec" / "bin" / "python"

DEEPCABAC = """
import json
import sys
import time
import numpy as np
from nncodec.extensions import deepCABAC
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF

DEFAULT = (0, 11, 1)

def encode(weight, scan_order, num_greater_flags, optimize):
    encoder = deepCABAC.Encoder()
    encoder.initCtxModels(num_greater_flags, optimize)
    skipped = np.zeros(len(weight), np.int32)
    encoder.encodeLayer(weight, 0, scan_order, 1, 0, 0, skipped, *HDSP_OPTS_OFF(), 0, 0)
    return encoder.finish()

def decode(stream, shape, scan_order, num_greater_flags):
    decoder = deepCABAC.Decoder()
    decoder.setStream(stream)
    decoder.initCtxModels(num_greater_flags)
    weight = np.zeros(shape, np.int32)
    decoder.decodeLayer(weight, 0, scan_order, 1, 0, *HDSP_OPTS_OFF(), 0, 0)
    decoder.finish()
    return weight

with np.load(sys.argv[1]) as arrays:
    layers = [np.ascontiguousarray(arrays[name], np.int32) for name in arrays.files]
started = time.process_time()
default = [encode(weight, *DEFAULT) for weight in layers]
encoded = time.process_time()
decoded = [decode(stream, weight.shape, *DEFAULT[:2]) for stream, weight in zip(default, layers)]
ended = time.process_time()
assert all(np.array_equal(one, other) for one, other in zip(decoded, layers))
choices = [(order, flags, optimize) for order in range(5) for flags in (1, 2, 4, 10) for optimize in (0, 1)]
best = [min((encode(weight, *choice) for choice in choices), key=len) for weight in layers]
print(json.dumps({
    "bytes": sum(map(len, best)), "default_bytes": sum(map(len, default)),
    "encode_s": encoded - started, "decode_s": ended - encoded, "search_s": time.process_time() - ended,
}))
"""


def build_synthetic() -> IntegerNetwork:
    """A narrowed and pruned fashion_cnn."""
    return build_network(
        build_layer("conv1", build_weight((16, 1, 3, 3), 0.1, 4, seed=1)),
        build_layer("conv2", build_weight((32, 16, 3, 3), 0.7, 4, seed=2)),
        build_layer("fc1", build_weight((64, 32 * 49), 0.93, 4, seed=3)),
        build_layer("fc2", build_weight((10, 64), 0.3, 4, seed=4)),
    )


def load_network(path: Path) -> IntegerNetwork:
    """A compressed file, or the int8 arrays of an .npz file in the order of their names, with floats made up."""
    if path.suffix == ".tonok":
        return decode_network(path.read_bytes())
    with np.load(path) as arrays:
        weights = [arrays[name] for name in sorted(arrays.files) if arrays[name].dtype == np.int8]
    width = max(int(np.abs(weight.astype(int)).max()).bit_length() for weight in weights) + 1
    return build_network(*(build_layer(f"layer{i}", weight, min(width, 8)) for i, weight in enumerate(weights)))


def find_nncodec() -> str | None:
    """A Python that has nncodec."""
    named = os.environ.get("NNCODEC_PYTHON")
    return named or (str(ENVIRONMENT) if ENVIRONMENT.exists() else None)


def run_deepcabac(python: str, network: IntegerNetwork) -> dict[str, float]:
    """Bytes of all layers, by its default settings and each at its best scan order and number of flags, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.npz"
        np.savez(path, *(layer.weight for layer in network.layers))
        done = subprocess.run([python, "-c", DEEPCABAC, str(path)], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure_ours(network: IntegerNetwork) -> dict[str, float]:
    """Bytes of the file, and seconds for it and back."""
    started = time.process_time()
    data = encode_network(network)
    encoded = time.process_time()
    decode_network(data)
    return {"bytes": len(data), "encode_s": encoded - started, "decode_s": time.process_time() - encoded}


def compute_speeds(rounds: list[dict[str, float]], num_weights: int, *, steps: tuple[str, ...]) -> dict[str, float]:
    """Median MB/s of each step: of the integers, one byte each, and of the float32 they stand for."""
    speeds = {}
    for step in steps:
        seconds = statistics.median(one[f"{step}_s"] for one in rounds)
        speeds[f"{step}_mb_per_s"] = round(num_weights / seconds / 1e6, 4)
        speeds[f"{step}_float32_mb_per_s"] = round(4 * num_weights / seconds / 1e6, 4)
    return speeds


def measure(network: IntegerNetwork, nncodec_python: str | None) -> dict[str, Any]:
    """The weights' share of a file is the file less the same file with all weights zero."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(measure_ours(network))
        if nncodec_python:
            theirs.append(run_deepcabac(nncodec_python, network))
    empty = [replace(layer, weight=np.zeros_like(layer.weight)) for layer in network.layers]
    num_weights = sum(layer.weight.size for layer in network.layers)
    file_bytes = int(ours[0]["bytes"])
    numbers: dict[str, Any] = {
        "weights": num_weights,
        "file_bytes": file_bytes,
        "weight_bytes": file_bytes - len(encode_network(replace(network, layers=tuple(empty)))),
        "order_0_weight_bytes": round(sum(compute_weight_entropy_bits(layer) for layer in network.layers) / 8),
        "order_0_bytes": round(compute_entropy_bytes(network)),
        **compute_speeds(ours, num_weights, steps=("encode", "decode")),
    }
    if theirs:
        speeds = compute_speeds(theirs, num_weights, steps=("encode", "decode", "search"))
        numbers |= {
            "deepcabac_weight_bytes": int(theirs[0]["bytes"]),
            "deepcabac_default_weight_bytes": int(theirs[0]["default_bytes"]),
            **{f"deepcabac_{name}": speed for name, speed in speeds.items()},
            **{
                f"{step}_speed_ratio": round(numbers[f"{step}_mb_per_s"] / speeds[f"{step}_mb_per_s"], 5)
                for step in ("encode", "decode")
            },
        }
    return numbers


def main() -> None:
    nncodec_python = find_nncodec()
    if not nncodec_python:
        print("NNCODEC_PYTHON names no Python with nncodec: DeepCABAC is left out.")
    networks = {Path(name).stem: load_network(Path(name)) for name in sys.argv[1:]} or {"synthetic": build_synthetic()}
    results = {}
    for name, network in networks.items():
        results[name] = measure(network, nncodec_python)
        print(name, *(f"{key}={value}" for key, value in results[name].items()))
    conditions = {"clock": "process time", "rounds": ROUNDS, "nncodec": bool(nncodec_python)}
    print(write_result("coding", results, seeds=[1, 2, 3, 4], conditions=conditions))
    write_page()


if __name__ == "__main__":
    main()
