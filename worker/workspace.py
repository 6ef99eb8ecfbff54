"""Where a run finds stored models and data sets, and leaves files and models of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from worker.catalog import ArtifactKind
from worker.dataset_location import DatasetLocation
from worker.progress import Reporter


@dataclass(frozen=True)
class ModelRecord:
    """A network that a job made. `files`: format → a name given to `artifact_path` before; `dataset`: what it was
    measured on, None for one that was not.
    """

    name: str
    architecture: str
    dataset: str | None
    parent_model_id: str | None
    files: Mapping[str, str]
    summary: Mapping[str, Any]
    """JSON: `evaluation` {validation, test}, `sparsity`, `size`, `layers`, `latency`, `macs` …"""


@dataclass(frozen=True)
class DatasetRecord:
    """Pictures that a job read and decoded. `files`: format → a name given to `artifact_path` before."""

    name: str
    files: Mapping[str, str]
    summary: Mapping[str, Any]
    """JSON: `DatasetSummary` of worker/dataset_files/summary.py."""


class Workspace(Reporter, Protocol):
    """Models and files by name; `worker.job_spec.JobContext` is one."""

    datasets: DatasetLocation

    def model_file(self, model_id: str) -> Path:
        """Path of a stored model's checkpoint (or, without one, its compressed file), its SHA-256 checked."""

    def model_summary(self, model_id: str) -> Mapping[str, Any]:
        """`Model.summary` of a stored model."""

    def artifact_path(self, name: str, kind: ArtifactKind) -> Path:
        """A path to write an artifact to. It is published under `name` only if the job succeeds."""

    def check_room(self, num_bytes: int) -> None:
        """Told before so many bytes are written. Raises DiskFull where they would be too many."""

    def save_model(self, record: ModelRecord) -> str:
        """Registers a model made of artifacts; returns its id. Visible only once the job succeeded."""

    def dataset_summary(self, dataset_id: str) -> Mapping[str, Any]:
        """`Dataset.summary` of a stored data set, and its `name`."""

    def save_dataset(self, record: DatasetRecord) -> str:
        """Registers a data set made of artifacts; returns its id. Visible only once the job succeeded."""
