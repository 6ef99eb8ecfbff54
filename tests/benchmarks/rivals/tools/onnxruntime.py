"""ONNX Runtime: static quantization to int8 in the QDQ format, calibrated, without training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.benchmarks.rivals.tools.plain import (
    Artifact,
    Task,
    export_onnx,
    iterate_calibration,
    measure_variant,
    onnx_artifact,
    open_task,
)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration pictures, one batch at a time."""

    def __init__(self, batches: Iterator[torch.Tensor], name: str) -> None:
        self.batches, self.name = batches, name

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch.numpy()}


def make_float(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    path = folder / "model.onnx"
    export_onnx(task.build(), path)
    return {"epochs": 0}, [onnx_artifact("ONNX", path)]


def make_int8(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    exported, prepared, path = folder / "float.onnx", folder / "prepared.onnx", folder / "model-int8.onnx"
    export_onnx(task.build(), exported)
    quant_pre_process(str(exported), str(prepared))
    quantize_static(
        str(prepared),
        str(path),
        Reader(iterate_calibration(task), "x"),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return {"epochs": 0, "bit_width": 8}, [onnx_artifact("ONNX (QDQ)", path)]


def main() -> None:
    task = open_task()
    measure_variant(task, "float32", lambda folder: make_float(task, folder))
    measure_variant(task, "static int8", lambda folder: make_int8(task, folder))


if __name__ == "__main__":
    main()
