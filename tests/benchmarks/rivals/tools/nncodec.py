"""nncodec: the float checkpoint encoded as it is; no training. At its own default, and as coarse as the drop allows."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nncodec.nn import decode, encode
from safetensors.numpy import load_file

from tests.benchmarks.rivals.tools.plain import (
    Artifact,
    Network,
    Predict,
    Task,
    count_correct,
    measure_variant,
    open_task,
    run_torch,
)

DEFAULT_QP = -32
QPS = range(-30, -8, 2)
"""Steps double every four."""


def load(path: Path, widths: tuple[int, int, int]) -> Predict:
    parameters = decode(bytearray(path.read_bytes()))
    model = Network(widths)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in parameters.items()}, strict=False)
    return run_torch(model)


def write(task: Task, folder: Path, qp: int) -> Path:
    """The bit stream of the whole checkpoint."""
    path = folder / f"qp{qp}.nnc"
    arguments = {"qp": qp, "results": str(folder), "verbose": False}
    path.write_bytes(bytes(encode(load_file(task.checkpoint), arguments)))
    return path


def make(task: Task, qp: int, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    path = write(task, folder, qp)
    return {"epochs": 0, "qp": qp}, [Artifact("bit stream", (path,), functools.partial(load, path, task.widths))]


def make_coarsest(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    """The highest quantization parameter whose drop on validation is at most one point."""
    allowed = count_correct(run_torch(task.build()), task.validation) - len(task.validation.labels) // 100
    chosen = DEFAULT_QP
    for qp in QPS:
        if count_correct(load(write(task, folder, qp), task.widths), task.validation) < allowed:
            break
        chosen = qp
    return make(task, chosen, folder)


def main() -> None:
    task = open_task()
    measure_variant(task, "default", functools.partial(make, task, DEFAULT_QP))
    measure_variant(task, "one point", functools.partial(make_coarsest, task))


if __name__ == "__main__":
    main()
