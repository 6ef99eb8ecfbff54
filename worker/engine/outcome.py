"""What an attempt's process leaves for its worker: one JSON file in the staging folder, written last."""

from __future__ import annotations

import mimetypes
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.catalog import ArtifactKind

ATTEMPT_NAME = "attempt.json"
LOG_NAME = "log.txt"
_OUTCOME_NAME = "outcome.json"
_FILES_NAME = "files"

DISK_FULL = {
    "code": "disk_full",
    "title": "The disk is full",
    "detail": "no room is left in the data directory",
    "retryable": True,
}

# Only the built-in table: what a machine has in /etc/mime.types must not change an answer.
_media_types = mimetypes.MimeTypes()
# Not in every Python's table.
_media_types.add_type("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx")
_media_types.add_type("application/zip", ".zip")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StagedModel(_Record):
    """A model to be; `files` maps formats to names of staged artifacts."""

    id: str
    name: str
    architecture: str
    dataset: str | None
    parent_model_id: str | None
    files: Mapping[str, str]
    summary: Mapping[str, Any]


class StagedDataset(_Record):
    """A data set to be; `files` maps formats to names of staged artifacts."""

    id: str
    name: str
    files: Mapping[str, str]
    summary: Mapping[str, Any]


class StagedStep(_Record):
    """A child job to be; `expected_s` is what it may cost."""

    name: str
    resolved_spec: Mapping[str, Any]
    step_hash: str
    expected_s: float


class Wait(_Record):
    """What a run waits for that cannot go on yet, and what the steps before and after may cost."""

    steps: tuple[StagedStep, ...]
    done_s: float
    later_s: float


class Outcome(_Record):
    """How the run ended, as its own process saw it. error: {code, title, detail, retryable}."""

    status: Literal["succeeded", "failed", "cancelled", "waiting"]
    result: Mapping[str, Any] = {}
    output_model_id: str | None = None
    error: Mapping[str, Any] | None = None
    artifacts: Mapping[str, ArtifactKind] = {}
    """Name → kind; the file lies at `staged_file(staging, name)`."""
    models: tuple[StagedModel, ...] = ()
    datasets: tuple[StagedDataset, ...] = ()
    wait: Wait | None = None


def staged_file(staging: Path, name: str) -> Path:
    """Where the artifact `name` lies until it is published."""
    return staging / _FILES_NAME / name


def save_outcome(staging: Path, outcome: Outcome) -> None:
    """Writes the outcome so that it is there whole or not at all.

    What did not succeed is not published: its files make room first, for they may be what has filled the disk.
    """
    if outcome.status != "succeeded":
        shutil.rmtree(staging / _FILES_NAME, ignore_errors=True)
    temporary = staging / f"{_OUTCOME_NAME}.{os.getpid()}"
    temporary.write_text(outcome.model_dump_json(), encoding="utf-8")
    temporary.replace(staging / _OUTCOME_NAME)


def find_outcome(staging: Path) -> Outcome | None:
    """The outcome, or None where the process ended before it wrote one that can be read."""
    try:
        return Outcome.model_validate_json((staging / _OUTCOME_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def guess_media_type(name: str) -> str:
    """The media type of a file name; bytes where it is not known."""
    if name.endswith((".txt", ".log")):
        return "text/plain; charset=utf-8"
    return _media_types.guess_type(name)[0] or "application/octet-stream"
