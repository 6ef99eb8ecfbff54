"""The real `JobContext`: progress goes straight to the database, files wait in the staging folder."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from storage.artifacts import get_artifact, list_artifacts
from storage.attempts import Lease, add_warning, record_progress
from storage.backoff import Backoff
from storage.database import Database
from storage.datasets import get_dataset
from storage.errors import CorruptFile, DatasetUnavailable, DiskFull, InvalidModel, NotFound
from storage.files import FileStore
from storage.ids import new_id
from storage.jobs import MetricPoint, get_job
from storage.models import get_model
from storage.settings import Settings
from storage.steps import find_model_file
from worker.catalog import ArtifactKind
from worker.dataset_location import DatasetLocation
from worker.dataset_refs import is_stored
from worker.engine.child_jobs import look_up_step, read_step, stage_step
from worker.engine.outcome import Outcome, StagedDataset, StagedModel, Wait, staged_file
from worker.job_spec import FinishedStep, JobOutcome, Step, StepsPending
from worker.progress import JobCancelled, Progress
from worker.workspace import DatasetRecord, ModelRecord

_WRITE_INTERVAL_S = 0.25
_LONGEST_WAIT_S = 10.0
_PATIENCE = 20
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_COUNTERS = ("percent", "step", "total_steps", "epoch", "total_epochs", "eta_s")

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Moment:
    """What one report adds to the log; never dropped, unlike mere progress."""

    message: str | None
    metrics: Mapping[str, tuple[MetricPoint]]


class Context:
    """The world of one attempt. `is_cancelled` answers at once and is asked at every report.

    owner: only models of this owner can be read.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        lease: Lease,
        staging: Path,
        is_cancelled: Callable[[], bool],
        owner: str,
    ) -> None:
        self.job_id = lease.job_id
        self.threads = settings.resolved_threads_per_slot
        self.datasets = DatasetLocation(
            settings.resolved_dataset_dir, settings.dataset_mirror, self._find_stored_dataset
        )
        self.scratch = scratch_folder(settings, lease.job_id)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._database = database
        self._files = FileStore(settings)
        self._lease = lease
        self._staging = staging
        self._is_cancelled = is_cancelled
        self._owner = owner
        self._artifacts: dict[str, ArtifactKind] = {}
        self._models: dict[str, StagedModel] = {}
        self._datasets: list[StagedDataset] = []
        self._step_models: set[str | None] = set()
        self._steps_done_s = 0.0
        self.wait: Wait | None = None
        """What the run waits for, once it has raised StepsPending."""
        self._warned: set[str] = set()
        self._warnings: list[tuple[str, Mapping[str, Any]]] = []
        self._phase: str | None = None
        self._progress: dict[str, Any] = {}
        self._moments: list[_Moment] = []
        self._logged: tuple[str | None, int] = (None, -1)
        self._written_at = -math.inf
        self._unwritten = False
        self._backoff = Backoff(log, "write progress", first_s=_WRITE_INTERVAL_S, longest_s=_LONGEST_WAIT_S)
        self._try_again_at = -math.inf

    def model_file(self, model_id: str) -> Path:
        model = self._models.get(model_id)
        if model is not None:
            return staged_file(self._staging, model.files.get("checkpoint") or model.files["compressed"])
        try:
            with self._database.read(self._owner) as session:
                sha256 = find_model_file(session, model_id)
            if sha256 is None:
                raise InvalidModel("the model has neither a checkpoint nor a compressed file")
            return self._files.verify(sha256)
        except (NotFound, CorruptFile) as error:
            raise InvalidModel(f"model {model_id}: {error.detail}", field="model_id") from error

    def describe(self, row_id: str) -> Mapping[str, Any]:
        """The summary of a stored model, or of a data set."""
        return self.dataset_summary(row_id) if is_stored(row_id) else self.model_summary(row_id)

    def upload_file(self) -> Path:
        with self._database.read() as session:
            (upload,) = [file for file in list_artifacts(session, self.job_id) if file.kind == ArtifactKind.UPLOAD]
        return self._files.verify(upload.sha256)

    def model_summary(self, model_id: str) -> Mapping[str, Any]:
        model = self._models.get(model_id)
        if model is not None:
            return model.summary
        try:
            with self._database.read(self._owner) as session:
                return get_model(session, model_id).summary
        except NotFound as error:
            raise InvalidModel(f"model {model_id}: {error.detail}", field="model_id") from error

    def artifact_path(self, name: str, kind: ArtifactKind) -> Path:
        if _ARTIFACT_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not a plain file name")
        self._files.room.check()
        self._artifacts[name] = kind
        path = staged_file(self._staging, name)
        path.parent.mkdir(exist_ok=True)
        return path

    def check_room(self, num_bytes: int) -> None:
        self._files.room.check(num_bytes)

    def save_model(self, record: ModelRecord) -> str:
        self._check_files(record.files)
        model_id = new_id("mdl")
        self._models[model_id] = StagedModel(
            id=model_id,
            name=record.name,
            architecture=record.architecture,
            dataset=record.dataset,
            parent_model_id=record.parent_model_id,
            files=dict(record.files),
            summary=self._finite(dict(record.summary), "the model's summary"),
        )
        return model_id

    def dataset_summary(self, dataset_id: str) -> Mapping[str, Any]:
        try:
            with self._database.read(self._owner) as session:
                dataset = get_dataset(session, dataset_id)
                return {**dataset.summary, "name": dataset.name}
        except NotFound as error:
            raise DatasetUnavailable(f"data set {dataset_id}: {error.detail}") from error

    def _find_stored_dataset(self, dataset_id: str) -> Path:
        try:
            with self._database.read(self._owner) as session:
                artifact_id = get_dataset(session, dataset_id).files["pictures"]
                sha256 = get_artifact(session, artifact_id).sha256
            return self._files.verify(sha256)
        except (NotFound, CorruptFile) as error:
            raise DatasetUnavailable(f"data set {dataset_id}: {error.detail}") from error

    def save_dataset(self, record: DatasetRecord) -> str:
        self._check_files(record.files)
        dataset_id = new_id("dst")
        self._datasets.append(
            StagedDataset(
                id=dataset_id,
                name=record.name,
                files=dict(record.files),
                summary=self._finite(dict(record.summary), "the data set's summary"),
            )
        )
        return dataset_id

    def _check_files(self, files: Mapping[str, str]) -> None:
        unknown = set(files.values()) - self._artifacts.keys()
        if unknown or not files:
            raise ValueError(f"files must be artifacts of this job; these are not: {sorted(unknown)}")

    def run_steps(self, steps: Mapping[str, Step], *, later_s: float = 0.0) -> Mapping[str, FinishedStep]:
        if self._is_cancelled():
            raise JobCancelled
        with self._database.read(self._owner) as session:
            parent = get_job(session, self.job_id)
            staged = {name: stage_step(session, parent, name, step) for name, step in steps.items()}
            found = {name: look_up_step(session, self._files, parent, step) for name, step in staged.items()}
            done = {
                name: read_step(session, self._files, parent, job) for name, job in found.items() if job is not None
            }
        pending = tuple(staged[name] for name in steps if name not in done)
        self._steps_done_s += sum(step.expected_s for name, step in steps.items() if name in done)
        left_s = later_s + sum(step.expected_s for step in pending)
        total_s = self._steps_done_s + left_s
        # Not written yet: on its way past finished steps the bar would jump back.
        self._progress |= {"percent": round(100 * self._steps_done_s / total_s, 1), "eta_s": round(left_s, 1)}
        self._unwritten = True
        if pending:
            self.wait = Wait(steps=pending, done_s=self._steps_done_s, later_s=later_s)
            raise StepsPending
        self._step_models |= {step.output_model_id for step in done.values()}
        return {name: done[name] for name in steps}

    def report(self, progress: Progress) -> None:
        if self._is_cancelled():
            raise JobCancelled
        for name in _COUNTERS:
            value = getattr(progress, name)
            if value is not None:
                self._progress[name] = value if math.isfinite(value) else None
        if progress.phase is not None:
            self._phase = progress.phase
        if progress.message is not None or progress.metrics:
            points = {
                name: (MetricPoint(progress.metrics_step, self._finite_value(value, name)),)
                for name, value in progress.metrics.items()
            }
            self._moments.append(_Moment(progress.message, points))
        self._unwritten = True
        due = time.monotonic() - self._written_at >= _WRITE_INTERVAL_S
        if self._moments or self._phase != self._logged[0] or due:
            self._files.room.check()
            self._write_if_possible(self._write)

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        """data: what the warning's event tells programs."""
        if message in self._warned:
            return
        self._warned.add(message)
        self._warnings.append((message, data or {}))
        if not self._write_if_possible(self._write_warnings):
            self._unwritten = True

    def build_outcome(self, outcome: JobOutcome) -> Outcome:
        """What a run that returned leaves to be published; the last progress is written first."""
        missing = [name for name in self._artifacts if not staged_file(self._staging, name).is_file()]
        if missing:
            raise FileNotFoundError(f"artifacts were announced and never written: {missing}")
        if outcome.output_model_id not in {None, *self._models, *self._step_models}:
            raise ValueError("the output model is none that this job or one of its steps has saved")
        result = self._finite(dict(outcome.result), "the result")
        self._progress |= {"percent": 100.0, "eta_s": 0.0}
        self._write_patiently()
        return Outcome(
            status="succeeded",
            result=result,
            output_model_id=outcome.output_model_id,
            artifacts=self._artifacts,
            models=tuple(self._models.values()),
            datasets=tuple(self._datasets),
        )

    def write_pending(self) -> None:
        """Writes what a report left unwritten. Raises LeaseLost, OperationalError, DiskFull."""
        if self._unwritten:
            self._write()

    def _write_if_possible(self, write: Callable[[], None]) -> bool:
        """Whether it was written. A busy database, or a full disk, must not end hours of training."""
        if time.monotonic() < self._try_again_at:
            return False
        try:
            write()
        except (OperationalError, DiskFull) as error:
            self._try_again_at = time.monotonic() + self._backoff.fail(error)
            return False
        self._backoff.succeed()
        return True

    def _write_patiently(self) -> None:
        """The work is done: a database that is busy for minutes must not cost it."""
        for _ in range(_PATIENCE):
            try:
                return self._write()
            except OperationalError as error:
                self._backoff.fail(error)
                time.sleep(1)
        return self._write()

    def _write_warnings(self) -> None:
        with self._database.transaction() as session:
            for message, data in self._warnings:
                add_warning(session, self._lease, message, data)
        self._warnings = []

    def _write(self) -> None:
        self._written_at = time.monotonic()
        if self._warnings:
            self._write_warnings()
        progress = {**self._progress, "updated_at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        # A line in the log for every phase and whole percent: live enough to watch, and bounded.
        logged = (self._phase, int(self._progress.get("percent") or 0))
        moments = self._moments or [_Moment(None, {})]
        with self._database.transaction() as session:
            for moment in moments:
                record_progress(
                    session,
                    self._lease,
                    progress=progress,
                    phase=self._phase,
                    message=moment.message,
                    metrics=moment.metrics,
                    log=bool(self._moments) or logged != self._logged,
                )
        self._moments = []
        self._logged = logged
        self._unwritten = False

    def _finite_value(self, value: float, name: str) -> float | None:
        number = float(value)
        if math.isfinite(number):
            return number
        self.warn(f"{name} was not a finite number; it is stored as null")
        return None

    def _finite(self, value: Any, name: str) -> Any:
        """The JSON value with null for every number that JSON cannot hold."""
        if isinstance(value, float):
            return self._finite_value(value, name)
        if isinstance(value, Mapping):
            return {str(key): self._finite(item, name) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._finite(item, name) for item in value]
        if value is None or isinstance(value, str | int):
            return value
        raise TypeError(f"{name} holds a {type(value).__name__}, which JSON cannot hold")


def scratch_folder(settings: Settings, job_id: str) -> Path:
    """The folder of a job that outlives its attempts and goes when the job ends."""
    return settings.data_dir / "scratch" / job_id


def staging_folder(settings: Settings, lease: Lease) -> Path:
    """The folder of one attempt, named so that two attempts never share one."""
    return settings.data_dir / "staging" / f"{lease.job_id}-{lease.attempt}"
