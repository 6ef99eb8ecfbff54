"""Where data sets lie: those of the catalogue, and those that somebody brought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DatasetUnavailable


def _find_none(dataset_id: str) -> Path:
    raise DatasetUnavailable(f"data set {dataset_id}: none that somebody brought can be read here")


@dataclass(frozen=True)
class DatasetLocation:
    """Where data sets live (`root`), and a folder or https:// URL to fill it from (`mirror`)."""

    root: Path
    mirror: str | None = None
    find_stored: Callable[[str], Path] = _find_none
    """The id of one that somebody brought → its decoded pictures. Raises DatasetUnavailable."""
