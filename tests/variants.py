"""The same tests as on other machines: `make test-elsewhere`, or `python -m tests.variants [NAME …] [-- PYTEST …]`.

A verdict must not hang on how a processor rounds, on the number of threads, on the chance in a training, or on what
else the machine is doing. So each variant takes one of these away from the usual run, one after the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

SEED = int(os.environ.get("TONOK_TEST_SEED", "0"))
"""Of every training and every random network of the tests."""


def _limit(aten: str, onednn: str) -> Mapping[str, str]:
    return {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "DNNL_MAX_CPU_ISA": onednn}


VARIANTS: Mapping[str, Mapping[str, str]] = {
    "sse41": _limit("default", "SSE41"),
    "avx2": _limit("avx2", "AVX2"),
    "threads": {"OMP_NUM_THREADS": "2"},
    "seed": {"TONOK_TEST_SEED": "1"},
    "busy": {},
}
NEIGHBOURS = {"busy": 2 * (os.cpu_count() or 1)}
"""Processes that compute for nothing beside the tests."""
_PYTEST = ("-m", "pytest", "-n", "2", "--dist", "worksteal")


def run_variants(joined: str, arguments: Sequence[str]) -> int:
    """The exit status of one pytest under all the variants of a joined name."""
    names = joined.split("+")
    count = sum(NEIGHBOURS.get(name, 0) for name in names)
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        environment = dict(os.environ)
        for name in names:
            environment |= VARIANTS[name]
        return subprocess.run([sys.executable, *_PYTEST, *arguments], env=environment, check=False).returncode
    finally:
        for process in neighbours:
            process.kill()
            process.wait()


def main(arguments: Sequence[str]) -> int:
    """0 where every variant passes."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names = arguments[:cut] or list(VARIANTS)
    if unknown := [name for joined in names for name in joined.split("+") if name not in VARIANTS]:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; there are {', '.join(VARIANTS)}\n")
        return 2
    statuses = {name: run_variants(name, arguments[cut + 1 :]) for name in names}
    for name, status in statuses.items():
        sys.stdout.write(f"{name:16} {'passed' if status == 0 else f'FAILED ({status})'}\n")
    return int(any(statuses.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
