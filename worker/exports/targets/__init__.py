"""Target → its exporter. To add one: a module here with an `EXPORTER`, and its name in worker/catalog.py."""

from __future__ import annotations

from worker.catalog import ExportTarget
from worker.exports.exporter import Exporter
from worker.registry import Registry

EXPORTERS = Registry[Exporter](ExportTarget, "worker.exports.targets", "EXPORTER")
