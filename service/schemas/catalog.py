"""What the API answers about what can be asked for, and about itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.schemas.base import Answer


class NamedChoice(Answer):
    """A name that a spec may use."""

    name: str
    description: str | None


class SpecForm(Answer):
    """A kind of job, enough to draw its form."""

    name: str
    description: str
    submit: str = Field(description="Method and path that take it.")
    example: dict[str, Any]
    json_schema: dict[str, Any] = Field(description="JSON Schema of its spec.")


class TorchvisionNetwork(Answer):
    """A network of torchvision that a training or a state dict may be of, for 1,000 classes at 224×224."""

    name: str = Field(description="As a spec's `architecture` has it.")
    parameters: int
    macs: int = Field(description="Multiply-accumulates for one picture.")
    smallest_side: int = Field(description="Of a square picture that it can read, in pixels.")


class Methods(Answer):
    """Everything that a spec can choose from."""

    job_kinds: list[SpecForm]
    choices: dict[str, list[NamedChoice]] = Field(description="Name of the choice → what may be chosen.")
    torchvision_networks: list[TorchvisionNetwork]


class WorkerAnswer(Answer):
    """A live worker."""

    id: str
    pid: int
    host: str
    slots: int
    info: dict[str, Any]
    silent_s: float = Field(description="Seconds since its last sign of life.")


class DiskAnswer(Answer):
    """The disk that holds the data directory."""

    total_bytes: int
    free_bytes: int


class SystemAnswer(Answer):
    """The service as it stands."""

    settings: dict[str, Any] = Field(description="Those that are not secret.")
    versions: dict[str, str | None]
    workers: list[WorkerAnswer]
    slots: int = Field(description="Heavy jobs that all live workers together run at a time.")
    jobs: dict[str, int] = Field(description="Status → number of jobs.")
    disk: DiskAnswer


class Liveness(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """Everything that a job needs is there."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]
