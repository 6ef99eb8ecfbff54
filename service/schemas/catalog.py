"""What the API answers about what can be asked for, and about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from service.schemas.base import Answer

Neurons = Annotated[int, Field(ge=1, le=1_000_000)]
BitWidth = Annotated[int, Field(ge=1, le=32)]


class FixedLayer(BaseModel):
    """A layer whose weights have a width of their own in every estimate."""

    model_config = ConfigDict(extra="forbid")

    neurons: Neurons
    bit_width: BitWidth = Field(description="Of the weights that lead into this layer; none lead into the input.")


LayerSize = Annotated[
    Annotated[Neurons, Tag("[number]")] | Annotated[FixedLayer, Tag("[object]")],
    Discriminator(lambda layer: "[object]" if isinstance(layer, dict | FixedLayer) else "[number]"),
]


class SizeEstimateRequest(BaseModel):
    """Neurons per layer and bit widths: no model is needed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"layer_sizes": [784, 256, 10], "bit_widths": [8, 6, 4, 2]}]}
    )

    layer_sizes: list[LayerSize] = Field(
        min_length=2,
        max_length=64,
        description="Neurons of each layer, the input first; a layer whose width is fixed as "
        '`{"neurons": 10, "bit_width": 8}`.',
    )
    bit_widths: list[BitWidth] = Field(
        min_length=1, max_length=64, description="One estimate for each: the width of all weights that are not fixed."
    )


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


class SpecForm(Answer):
    """A kind of job, enough to draw its form."""

    name: str
    description: str
    submit: str = Field(description="Method and path that take it.")
    example: dict[str, Any]
    json_schema: dict[str, Any] = Field(description="JSON Schema of its spec.")


class Methods(Answer):
    """Everything that a spec can choose from."""

    job_kinds: list[SpecForm]
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
