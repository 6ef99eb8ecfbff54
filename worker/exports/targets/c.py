"""C99 without dependencies, for microcontrollers: the integer pass, bit for bit."""

from __future__ import annotations

from pathlib import Path

from storage.errors import InvalidModel
from worker.catalog import SourceForm
from worker.exports.c.archive import save_archive
from worker.exports.c.cortex_m import CortexMProgram, build_for_cortex_m
from worker.exports.c.program import CProgram, build_archive
from worker.exports.exporter import AnyNetwork, StoredArrays, Variant
from worker.exports.float_network import FloatNetwork
from worker.results.export import ExportMemory


class CExporter:
    """A zip file of sources with a Makefile."""

    suffix = "zip"

    def choose_variant(self, network: AnyNetwork, wanted: Variant | None) -> Variant | None:  # noqa: ARG002
        return None if wanted is SourceForm.PLAIN else wanted

    def write(self, stored: StoredArrays, variant: Variant | None, name: str, path: Path) -> ExportMemory:
        if isinstance(stored.network, FloatNetwork):
            raise InvalidModel("C computes on integers: quantize or compress the model first", field="model_id")
        file = stored.file.read_bytes() if variant is SourceForm.COMPRESSED else None
        source = save_archive(stored.network, name, path, file)
        return ExportMemory(
            constant_bytes=source.constant_bytes,
            weight_bytes=source.weight_bytes,
            ram_bytes=source.ram_bytes,
        )

    def describe_difference(self, num_examples: int, num_identical: int, agreement: float | None) -> str | None:  # noqa: ARG002
        if num_identical == num_examples:
            return None
        return f"{num_examples - num_identical:,} of {num_examples:,} pictures got other numbers"

    def open(self, path: Path, folder: Path, threads: int) -> CProgram:  # noqa: ARG002 - it has one thread
        return build_archive(path, folder)

    def open_device(self, path: Path, folder: Path, memory: ExportMemory | None) -> CortexMProgram | None:
        return None if memory is None else build_for_cortex_m(path, folder, memory)


EXPORTER = CExporter()
