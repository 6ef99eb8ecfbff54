"""What the API answers about what can be asked for, and about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.schemas.base import Answer


class SizeEstimateRequest(BaseModel):
    """Neurons per layer and bit widths: no model is needed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"layer_sizes": [784, 256, 10], "bit_widths": [8, 6, 4, 2]}]}
    )

    layer_sizes: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        min_length=2, max_length=64, description="Neurons of each layer, the input first."
    )
    bit_widths: list[Annotated[int, Field(ge=1, le=32)]] = Field(
        min_length=1, max_length=64, description="By default one estimate for each."
    )
    mixed: bool = Field(
        False, description="One estimate instead, `bit_widths` naming the width of each weight matrix in turn."
    )

    @model_validator(mode="after")
    def _widths_fit_the_layers(self) -> SizeEstimateRequest:
        if self.mixed and len(self.bit_widths) != len(self.layer_sizes) - 1:
            raise ValueError(f"`mixed` takes {len(self.layer_sizes) - 1} bit widths, one for each weight matrix")
        return self


class SizeEstimate(Answer):
    """Weights only: sum(n_i · n_(i+1) · bits) / 8."""

    bit_widths: list[int] = Field(description="Of each weight matrix.")
    bytes: int
    kb: float
    ratio: float = Field(description="float32 bytes ÷ these bytes.")


class SizeEstimates(Answer):
    """Estimates by the formula."""

    num_weights: int
    float32_bytes: int
    estimates: list[SizeEstimate]


class NamedChoice(Answer):
    """A name that a spec may use."""

    name: str
    description: str | None


class DatasetList(Answer):
    """Data sets by name."""

    datasets: list[NamedChoice]


class JobKind(Answer):
    """A kind of job, enough to draw its form."""

    name: str
    description: str
    submit: str = Field(description="Where to POST it.")
    example: dict[str, Any]
    json_schema: dict[str, Any] = Field(description="JSON Schema of its spec.")


class Methods(Answer):
    """Everything that a spec can choose from."""

    job_kinds: list[JobKind]
    choices: dict[str, list[NamedChoice]] = Field(description="Name of the choice → what may be chosen.")


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
