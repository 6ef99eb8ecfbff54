"""The one settings object, made at the edge of each process and passed in."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage.machine import read_memory_bytes

LEAST_JOB_BYTES = 3 << 30
"""By default: what every kind may need with the networks as they are offered. Less would refuse them on a small machine
that may well manage; there the kernel takes a job first."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_folder(folder: Path) -> None:
    """Raises ValueError where there cannot be such a folder."""
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        raise ValueError("there can be no folder of that name") from None
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is a file and not a folder")


class Settings(BaseSettings):
    """Environment variables with the prefix `TONOK_`; every one has a default that needs no server."""

    # An empty variable is one that is not set: `TONOK_DATA_DIR=` must not mean the current folder.
    model_config = SettingsConfigDict(env_prefix="TONOK_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the API listens on.")
    require_key: bool = Field(
        False, description="Demand an API key on a loopback address too; on every other address it always is."
    )
    allowed_hosts: str | None = Field(
        None,
        description="Names with commas between, such as a reverse proxy's, that requests without a key may be "
        "addressed to besides `localhost`.",
    )
    requests_per_minute: int = Field(
        600,
        ge=1,
        description="Requests that an owner, or an address without a key, may make in a minute where keys are "
        "demanded, probes aside; one more is answered 429.",
    )
    data_dir: Path = Field(Path(".tonok"), description="Folder of the database, the file store and the logs.")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of an SQLite file; by default `<data_dir>/tonok.db`."
    )
    dataset_dir: Path | None = Field(None, description="Folder where data sets live; by default `<data_dir>/datasets`.")
    dataset_mirror: str | None = Field(
        None,
        description="A folder or an https:// URL that holds the data sets' original files; tried before "
        "the data set's own servers.",
    )
    slots: int = Field(1, ge=1, le=64, description="Heavy jobs that one worker runs at a time.")
    threads_per_slot: int | None = Field(
        None, ge=1, description="Torch threads of one job; by default the cores divided by the slots."
    )
    max_queued_jobs: int = Field(
        1000, ge=1, description="Jobs that one owner may have waiting; one more is answered 429."
    )
    max_open_streams: int = Field(
        256, ge=1, description="Event streams and long polls that one owner may have open; one more is answered 429."
    )
    max_open_uploads: int = Field(
        16, ge=1, description="Files that one owner may be sending at a time; one more is answered 429."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest JSON body that is read.")
    max_upload_bytes: int = Field(
        67_108_864, ge=1024, description="Largest model file that is taken; pictures may have 32 MiB of it."
    )
    max_dataset_bytes: int = Field(
        1_073_741_824, ge=1024, description="Largest file of pictures that is taken as a data set."
    )
    min_free_bytes: int = Field(
        104_857_600, ge=0, description="Free space that the disk keeps: with less, jobs are answered 507 or fail."
    )
    max_data_bytes: int | None = Field(
        None, ge=0, description="Size that the data directory may reach; by default what the disk has."
    )
    max_job_bytes: int | None = Field(
        None,
        ge=67_108_864,
        description="Memory that one job may hold: what would need more is answered 422, and what comes to hold more "
        "is ended. By default four fifths of the machine's, or of the container's, divided by the slots; 3 GiB at "
        "least.",
    )
    max_log_bytes: int = Field(
        8_388_608,
        ge=65_536,
        description="Size that the log of an attempt may reach; beyond it, its middle is left out.",
    )
    hang_timeout_s: float = Field(
        120.0,
        ge=20,
        allow_inf_nan=False,
        description="Seconds, 20 at least, without a sign of life after which `make serve` ends the API or the "
        "worker, and starts it again.",
    )
    lease_ttl_s: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Seconds after which a silent worker's job is taken over."
    )
    cancel_grace_s: float = Field(
        5.0, ge=0, allow_inf_nan=False, description="Seconds between asking a job to stop and killing it."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` for people, or `json`: one object per line, with request and job in fields."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("data_dir", "dataset_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            folder = value.expanduser().absolute()
        except RuntimeError:
            raise ValueError("there is no home directory of that user") from None
        _check_folder(folder)
        return folder

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: SecretStr | None) -> SecretStr | None:
        """Raises ValueError, without the URL: it may hold a password."""
        if value is None:
            return None
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("this is no SQLAlchemy URL") from None
        if url.drivername not in ("sqlite", "sqlite+pysqlite"):
            raise ValueError("only SQLite is supported: write sqlite:////path/to/file.db, or leave it out")
        if url.query:
            # They would be ignored, or, with `uri=true`, name a database in memory after all.
            raise ValueError("options are not supported: write sqlite:////path/to/file.db alone")
        if not url.database or url.database == ":memory:":
            raise ValueError("API and worker cannot share an SQLite database in memory: name a file")
        path = Path(url.database).absolute()
        if path.is_dir():
            raise ValueError("this is a folder: name a file")
        _check_folder(path.parent)
        return value

    @property
    def key_required(self) -> bool:
        """Whether a request must carry an API key: always where other machines may come from."""
        return self.require_key or not is_loopback(self.host)

    @property
    def allowed_host_names(self) -> frozenset[str]:
        """The names of `allowed_hosts`, in lower case."""
        return frozenset(name.strip().lower() for name in (self.allowed_hosts or "").split(","))

    @property
    def resolved_database_url(self) -> str:
        """The SQLAlchemy URL in force. May hold a password: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'tonok.db'}"

    @property
    def resolved_dataset_dir(self) -> Path:
        """The folder of the data sets."""
        return self.dataset_dir if self.dataset_dir is not None else self.data_dir / "datasets"

    @property
    def resolved_max_job_bytes(self) -> int | None:
        """Memory that one job may hold; None where neither the setting nor the system says."""
        if self.max_job_bytes is not None:
            return self.max_job_bytes
        available = read_memory_bytes()
        return None if available is None else max(LEAST_JOB_BYTES, available * 4 // 5 // self.slots)

    @property
    def resolved_threads_per_slot(self) -> int:
        """Threads that one job may use, so that all slots together do not exceed the cores."""
        if self.threads_per_slot is not None:
            return self.threads_per_slot
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, available // self.slots)


def load_settings() -> Settings:
    """The settings of this process. Leaves with one line for each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            variable = f"TONOK_{'_'.join(str(part) for part in item['loc']).upper()}"
            print(f"{variable}: {item['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise SystemExit(2) from None
