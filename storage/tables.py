"""The rows. `SQLModel(table=True)` does not validate: only parsed values reach these classes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

Row = TypeVar("Row", bound=SQLModel)


class JobStatus(StrEnum):
    """queued → running → succeeded | failed | cancelled; running → cancelling → any terminal one."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


DEFAULT_OWNER = "local"
"""Whose everything is where nobody is asked for a key."""

TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


def build_row(table: type[Row], values: Mapping[str, Any]) -> Row:
    """The object that a query would have made of the row. values: of every column.

    The constructor goes through an event for each attribute, which takes longer than the INSERT.
    """
    row: Row = sa_inspect(table).class_manager.new_instance()
    row.__dict__.update(values)
    return row


def _time(*, nullable: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcDateTime(), nullable=nullable, index=index))


def _json(default: Any) -> Any:
    return Field(default_factory=default, sa_column=Column(JSON, nullable=False))


class Job(SQLModel, table=True):
    """One request to do something, from submission to its end."""

    __table_args__ = (
        Index("ix_job_queue", "status", "created_at", "id"),
        # One for each filter of the list, in the order of the list: a page is read where it stands, nothing is sorted.
        Index("ix_job_owner_created", "owner", "created_at", "id"),
        Index("ix_job_owner_status", "owner", "status", "created_at", "id"),
        Index("ix_job_owner_kind", "owner", "kind", "created_at", "id"),
        Index("ix_job_owner_kind_status", "owner", "kind", "status", "created_at", "id"),
        Index("ix_job_model_created", "model_id", "created_at", "id"),
        Index("ix_job_parent_created", "parent_job_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    owner: str = DEFAULT_OWNER
    kind: str
    name: str | None = None
    labels: dict[str, str] = _json(dict)
    status: str = Field(default=JobStatus.QUEUED)
    phase: str | None = None
    progress: dict[str, Any] = _json(dict)
    spec: dict[str, Any] = _json(dict)
    resolved_spec: dict[str, Any] = _json(dict)
    model_id: str | None = None
    parent_job_id: str | None = None
    step_hash: str | None = Field(default=None, index=True)
    """Of jobs with the same one, each would have the result of the others: see `storage.steps`."""
    waits_for: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """The steps that a parent waits for; NULL unless it waits. See `storage.steps`."""
    output_model_id: str | None = None
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    warnings: list[str] = _json(list)
    attempt: int = 0
    """Counts every start, and is the fencing token: never used twice. Not what `max_attempts` bounds."""
    failed_attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Starts that ended with the job's own process: only these are held against `max_attempts`."""
    lost_workers: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Starts that ended with their worker, which has a bound of its own (storage/losses.py)."""
    claimable_at: float | None = None
    """Of a queued job: not before this moment, by the database's clock."""
    max_attempts: int = 2
    max_runtime_s: int = 7200
    cancel_requested: bool = False
    lease_holder: str | None = None
    lease_expires_at: float | None = None
    """By the database's clock. Others judge a lease by whether this changes, never by what time it is: clocks jump."""
    created_at: datetime = _time(nullable=False)
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()
    updated_at: datetime = _time(nullable=False)
    request_id: str | None = None
    """The HTTP request that submitted it: what its logs are found by."""

    @property
    def counted_attempt(self) -> int:
        """Which of `max_attempts` the job is at; 0 before its first start."""
        return min(self.failed_attempts + 1, self.max_attempts) if self.attempt else 0


class JobLabel(SQLModel, table=True):
    """One label of a job where an index finds it: a copy that a trigger makes of `Job.labels`, which clients see."""

    __table_args__ = (Index("ix_joblabel_pair", "owner", "key", "value", "created_at", "job_id"),)

    job_id: str = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    key: str = Field(primary_key=True)
    owner: str
    value: str
    created_at: datetime = _time(nullable=False)


class JobEvent(SQLModel, table=True):
    """The durable log of a job; `seq` counts from 1 within the job."""

    job_id: str = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    seq: int = Field(primary_key=True)
    attempt: int = 0
    type: str
    data: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)


class JobMetric(SQLModel, table=True):
    """One measured value of a series: train_loss at epoch 3, say. `value` is None where it was not finite."""

    __table_args__ = (Index("ix_jobmetric_series", "job_id", "name", "step"),)

    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id", ondelete="CASCADE")
    attempt: int
    name: str
    step: float
    value: float | None = None
    created_at: datetime = _time(nullable=False)


class Artifact(SQLModel, table=True):
    """An immutable file of a job, addressed by its SHA-256."""

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="job.id", index=True, ondelete="CASCADE")
    kind: str
    name: str
    media_type: str
    sha256: str = Field(index=True)
    num_bytes: int
    created_at: datetime = _time(nullable=False)


class Model(SQLModel, table=True):
    """A trained or compressed network: where it came from, its files, and everything measured of it."""

    __table_args__ = (
        Index("ix_model_owner_created", "owner", "created_at", "id"),
        Index("ix_model_parent_created", "parent_model_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    owner: str = DEFAULT_OWNER
    job_id: str = Field(foreign_key="job.id", index=True, ondelete="CASCADE")
    parent_model_id: str | None = None
    name: str
    architecture: str
    dataset: str | None = Field(default=None, index=True)
    """What it was measured on; None for a model that was brought and measured on nothing."""
    files: dict[str, str] = _json(dict)
    """Format (`checkpoint`, `compressed`, …) → artifact id."""
    summary: dict[str, Any] = _json(dict)
    """`ModelSummary` of worker/jobs/base.py as JSON: evaluations, sparsity, size ledger, layers, latency."""
    created_at: datetime = _time(nullable=False)


class Dataset(SQLModel, table=True):
    """Pictures that somebody brought: decoded, split and counted by the job that read them."""

    __table_args__ = (Index("ix_dataset_owner_created", "owner", "created_at", "id"),)

    id: str = Field(primary_key=True)
    owner: str = DEFAULT_OWNER
    job_id: str = Field(foreign_key="job.id", index=True, ondelete="CASCADE")
    name: str
    files: dict[str, str] = _json(dict)
    """Format (`pictures`, `contact_sheet`) → artifact id."""
    summary: dict[str, Any] = _json(dict)
    """`DatasetSummary` of worker/dataset_files/summary.py as JSON: classes, counts, statistics, what was refused."""
    created_at: datetime = _time(nullable=False)


class IdempotencyKey(SQLModel, table=True):
    """A client's key, the hash of the body it came with, and the job it made. Each owner has keys of its own."""

    owner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_hash: str
    job_id: str
    created_at: datetime = _time(nullable=False, index=True)


class ApiKey(SQLModel, table=True):
    """What lets an owner in. The key itself is nowhere: only its SHA-256 is kept."""

    id: str = Field(primary_key=True)
    owner: str
    sha256: str = Field(index=True, unique=True)
    created_at: datetime = _time(nullable=False)
    revoked_at: datetime | None = _time()


class WorkerNode(SQLModel, table=True):
    """A worker process and its last sign of life, by the database's clock."""

    id: str = Field(primary_key=True)
    pid: int
    host: str
    slots: int
    info: dict[str, Any] = _json(dict)
    heartbeat_at: float


class Tally(SQLModel, table=True):
    """A number kept up to date by triggers (storage/migrations), so that nobody counts rows to know it.

    name: `jobs` (by owner, kind and status), `attempts` (by kind), `requeues` (by kind and, as status, the reason),
    `stored_bytes` (of every row that names a file: equal files count as often as they are named).
    """

    name: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    status: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class DurationTally(SQLModel, table=True):
    """Jobs that ended within a range of seconds after their first start; kept by triggers too.

    Counts what has been: a job that is deleted stays in it.
    """

    kind: str = Field(primary_key=True)
    status: str = Field(primary_key=True)
    upper_bound_s: str = Field(primary_key=True)
    """As Prometheus writes it: `60.0`, and `+Inf` for the last range."""
    num_jobs: int = Field(sa_type=BigInteger)
    total_s: float
