"""An ONNX file as ONNX Runtime runs it, on the processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.exports.float_network import Floats
from worker.exports.onnx.model import INPUT

_ERRORS = 3


def open_session(path: Path, threads: int) -> Callable[[NDArray[np.uint8]], Floats]:
    """A function of pictures (B, C, H, W) that gives their logits (B, classes)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(pictures: NDArray[np.uint8]) -> Floats:
        logits: Floats = session.run(None, {INPUT: pictures})[0]
        return logits.reshape(len(pictures), -1)

    return run
