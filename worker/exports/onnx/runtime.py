"""An ONNX file as ONNX Runtime runs it, on the processor."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from worker.exports.float_network import Floats
from worker.exports.onnx.model import INPUT

_ERRORS = 3


class OnnxProgram:
    """A session that stays open."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.threads = threads
        self.runtime = f"ONNX Runtime {onnxruntime.__version__}"

    def answer(self, pictures: NDArray[np.uint8]) -> Floats:
        logits: Floats = self._session.run(None, {INPUT: pictures})[0]
        return logits.reshape(len(pictures), -1)

    def time(self, pictures: NDArray[np.uint8]) -> list[float]:
        taken = []
        for picture in np.split(pictures, len(pictures)):
            started = time.perf_counter()
            self._session.run(None, {INPUT: picture})
            taken.append((time.perf_counter() - started) * 1000)
        return taken
