"""C99 without dependencies, for microcontrollers: the integer pass, bit for bit."""

from __future__ import annotations

from pathlib import Path

from storage.errors import InvalidModel
from worker.catalog import WeightType
from worker.exports.c.archive import save_archive
from worker.exports.c.cortex_m import CortexMProgram, build_for_cortex_m
from worker.exports.c.program import CProgram, build_archive
from worker.exports.exporter import AnyNetwork
from worker.exports.float_network import FloatNetwork
from worker.results.export import ExportMemory


class CExporter:
    """A zip file of sources with a Makefile."""

    suffix = "zip"

    def choose_weight_type(self, network: AnyNetwork, wanted: WeightType | None) -> None:  # noqa: ARG002
        return None  # each layer's weights have their own width: a spec that asks for one is refused

    def write(self, network: AnyNetwork, weight_type: WeightType | None, name: str, path: Path) -> ExportMemory:  # noqa: ARG002
        if isinstance(network, FloatNetwork):
            raise InvalidModel("C computes on integers: quantize or compress the model first", field="model_id")
        source = save_archive(network, name, path)
        return ExportMemory(constant_bytes=source.constant_bytes, ram_bytes=source.buffers.num_bytes)

    def open(self, path: Path, folder: Path, threads: int) -> CProgram:  # noqa: ARG002 - it has one thread
        return build_archive(path, folder)

    def open_device(self, path: Path, folder: Path, memory: ExportMemory | None) -> CortexMProgram | None:
        return None if memory is None else build_for_cortex_m(path, folder, memory)


EXPORTER = CExporter()
