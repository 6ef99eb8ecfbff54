"""Bytes and speed of the compressed file's weights, beside DeepCABAC (nncodec) on the same integers.

nncodec needs an environment of its own (it pins an older NumPy): install it anywhere and name that environment's Python
in NNCODEC_PYTHON. Without it the comparison is left out. Arguments: .npz files whose int8 arrays w0, w1, … are the
layers of a network; without arguments a synthetic network is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.record import write_result
from tests.worker.core.coding.networks import build_layer, build_network, build_weight
from worker.core.coding import compute_entropy_bytes, decode_network, encode_network
from worker.core.coding.ledger import compute_weight_entropy_bits
from worker.core.integer import IntegerNetwork

DEEPCABAC = """
import sys
import numpy as np
from nncodec.extensions import deepCABAC
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF

def measure(weight, scan_order, num_greater_flags, optimize):
    encoder = deepCABAC.Encoder()
    encoder.initCtxModels(num_greater_flags, optimize)
    skipped = np.zeros(len(weight), np.int32)
    encoder.encodeLayer(weight, 0, scan_order, 1, 0, 0, skipped, *HDSP_OPTS_OFF(), 0, 0)
    return len(encoder.finish().tobytes())

with np.load(sys.argv[1]) as arrays:
    layers = [np.ascontiguousarray(arrays[name], np.int32) for name in arrays.files]
choices = [(order, flags, optimize) for order in range(5) for flags in (1, 2, 4, 10) for optimize in (0, 1)]
print(sum(min(measure(weight, *choice) for choice in choices) for weight in layers))
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
    """The int8 arrays of the file, in the order of their names, with floats made up."""
    with np.load(path) as arrays:
        weights = [arrays[name] for name in sorted(arrays.files) if arrays[name].dtype == np.int8]
    width = max(int(np.abs(weight.astype(int)).max()).bit_length() for weight in weights) + 1
    return build_network(*(build_layer(f"layer{i}", weight, min(width, 8)) for i, weight in enumerate(weights)))


def measure_deepcabac(python: str, network: IntegerNetwork) -> int:
    """Bytes of all layers, each at its best scan order and number of flags."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.npz"
        np.savez(path, *(layer.weight for layer in network.layers))
        done = subprocess.run([python, "-c", DEEPCABAC, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure(network: IntegerNetwork, nncodec_python: str | None) -> dict[str, Any]:
    """The weights' share of a file is the file less the same file with all weights zero."""
    started = time.process_time()
    data = encode_network(network)
    encoded = time.process_time()
    decode_network(data)
    decoded = time.process_time()
    empty = [replace(layer, weight=np.zeros_like(layer.weight)) for layer in network.layers]
    num_weights = sum(layer.weight.size for layer in network.layers)
    numbers: dict[str, Any] = {
        "weights": num_weights,
        "file_bytes": len(data),
        "weight_bytes": len(data) - len(encode_network(replace(network, layers=tuple(empty)))),
        "order_0_weight_bytes": round(sum(compute_weight_entropy_bits(layer) for layer in network.layers) / 8),
        "order_0_bytes": round(compute_entropy_bytes(network)),
        # Per byte of int8 weights.
        "encode_mb_per_s": round(num_weights / (encoded - started) / 1e6, 4),
        "decode_mb_per_s": round(num_weights / (decoded - encoded) / 1e6, 4),
    }
    if nncodec_python:
        numbers["deepcabac_weight_bytes"] = measure_deepcabac(nncodec_python, network)
    return numbers


def main() -> None:
    nncodec_python = os.environ.get("NNCODEC_PYTHON")
    if not nncodec_python:
        print("NNCODEC_PYTHON names no Python with nncodec: DeepCABAC is left out.")
    networks = {Path(name).stem: load_network(Path(name)) for name in sys.argv[1:]} or {"synthetic": build_synthetic()}
    results = {}
    for name, network in networks.items():
        results[name] = measure(network, nncodec_python)
        print(name, *(f"{key}={value}" for key, value in results[name].items()))
    print(write_result("coding", results, seeds=[1, 2, 3, 4], conditions={"clock": "process time"}))


if __name__ == "__main__":
    main()
