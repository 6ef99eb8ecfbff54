"""ONNX for phones and servers: QDQ with int8 or int4 weights, or float32."""

from __future__ import annotations

from pathlib import Path

from worker.catalog import WeightType
from worker.exports.exporter import AnyNetwork, StoredArrays, Variant
from worker.exports.onnx.model import write_model
from worker.exports.onnx.parameters import choose_weight_type
from worker.exports.onnx.runtime import OnnxProgram
from worker.results.export import ExportMemory

LEAST_AGREEMENT = 0.999
"""Runtimes add floats up in orders of their own: of a thousand pictures one may be as near to another class as that."""


class OnnxExporter:
    """A model of opset 21 that reads pixels."""

    suffix = "onnx"

    def choose_variant(self, network: AnyNetwork, wanted: Variant | None) -> WeightType:
        return choose_weight_type(network, None if wanted is None else WeightType(wanted))

    def write(self, stored: StoredArrays, variant: Variant | None, name: str, path: Path) -> None:
        model = write_model(stored.network, self.choose_variant(stored.network, variant))
        model.doc_string = name
        path.write_bytes(model.SerializeToString())

    def describe_difference(self, num_examples: int, num_identical: int, agreement: float | None) -> str | None:  # noqa: ARG002
        if agreement is None or agreement >= LEAST_AGREEMENT:
            return None
        return f"{1 - agreement:.2%} of {num_examples:,} pictures got another class"

    def open(self, path: Path, folder: Path, threads: int) -> OnnxProgram:  # noqa: ARG002 - it takes no files
        return OnnxProgram(path, threads)

    def open_device(self, path: Path, folder: Path, memory: ExportMemory | None) -> None:  # noqa: ARG002
        return None  # a microcontroller has no runtime for it


EXPORTER = OnnxExporter()
