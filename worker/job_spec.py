"""What a job is: a spec that a client sends, and a context through which its run touches the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from storage.errors import TooMuchMemory
from worker.dataset_refs import Describe
from worker.memory_estimate import MemoryEstimate
from worker.names import NAME
from worker.workspace import Workspace

LATEST_MODEL = "latest"
"""In a spec that is sent: the newest model of a succeeded train job. A resolved spec holds that model's id."""

_MIB = 1 << 20

ModelId = Annotated[
    str,
    Field(
        pattern=r"^(latest|mdl_[0-9A-Za-z]{1,40})$",
        description="Id of a stored model, or `latest`: the newest one that a train job made.",
    ),
]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,40}$")]
LabelValue = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]


def describe_rules(field: str, values: Sequence[str], default: str, **then: Mapping[str, Any]) -> list[dict[str, Any]]:
    """JSON Schema for what pydantic checks between fields: where `field` has one of `values`, `then` holds.

    default: what counts where the field is left out. then: field → the schema it must match besides its own. Written
    as what must not be, because readers of the document show `if` and `then` as if they were two kinds of body.
    """
    named = [] if default in values else [field]
    return [
        {
            "not": {
                # null means the default, where it is allowed at all.
                "properties": {
                    field: {"enum": [*values, *([None] if default in values else [])]},
                    name: {"not": dict(schema)},
                },
                "required": [name, *named],
            }
        }
        for name, schema in then.items()
    ]


class JobSpec(BaseModel):
    """Fields that every kind shares. Frozen, strict about names: an unknown field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: ClassVar[int] = 3
    """Counts up when results of the kind change their meaning: what was computed before is then not reused."""
    is_light: ClassVar[bool] = False
    """Takes no training and little memory: it need not wait for a slot."""

    compares_accuracy: ClassVar[bool] = True
    """Holds what it makes against the accuracy of the model that it starts from: of an unmeasured one it has none."""

    kind: str
    name: str | None = Field(None, pattern=NAME, max_length=100, description="A name for people.")
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Key-value pairs to filter the list of jobs by.",
        # What pydantic enforces and leaves out of the schema: a key that does not match is refused.
        json_schema_extra={"additionalProperties": False},
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seeds the split, the order of batches and every random choice.")
    max_attempts: int = Field(2, ge=1, le=5, description="Times the job may be started before it fails.")
    max_runtime_s: int = Field(7200, ge=1, le=604_800, description="Seconds after which an attempt is stopped.")

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:  # noqa: ARG002
        """Estimates what the job holds at its peak; None where its file decides, or the model's shape is unknown."""
        return None

    def refuse_start(self, summary: Mapping[str, Any]) -> str | None:
        """Says why the job cannot start from the stored model of that summary; None where it can."""
        is_float = summary.get("bit_width") is None
        return None if is_float else "this model is quantized already; start from the float model it came from"

    def check_facts(self, describe: Describe) -> None:
        """Raises InvalidSpec where what the spec names does not allow what it asks for. Called when it is sent."""

    def find_memory_field(self, estimate: MemoryEstimate, describe: Describe) -> str:  # noqa: ARG002
        """Names the field that most of its memory goes back to."""
        return "model_id"


def check_memory(spec: JobSpec, describe: Describe, max_bytes: int | None) -> MemoryEstimate | None:
    """Returns the estimate. Raises TooMuchMemory where it is more than a job may hold."""
    estimate = spec.estimate_memory(describe)
    if estimate is not None and (excess := describe_excess(estimate, max_bytes)) is not None:
        field = spec.find_memory_field(estimate, describe)
        raise TooMuchMemory(f"{field}: {excess}", field=f"/{field}")
    return estimate


def describe_excess(estimate: MemoryEstimate, max_bytes: int | None) -> str | None:
    """Says that a job would hold more than it may; None where it would not."""
    if max_bytes is None or estimate.num_bytes <= max_bytes:
        return None
    return (
        f"the job would need about {estimate.num_bytes // _MIB:,} MiB of memory, and may hold {max_bytes // _MIB:,} "
        "(TONOK_MAX_JOB_BYTES)"
    )


class UploadSpec(JobSpec):
    """A job about a file that came with its request. It has a route of its own instead of one under /v1/jobs."""


class StepsPending(Exception):
    """Raised by `JobContext.run_steps` where steps have not ended yet. Not an error: let it pass."""


@dataclass(frozen=True)
class Step:
    """A child job to be run. expected_s: above 0, what it may cost; only its relation to other steps matters."""

    spec: JobSpec
    expected_s: float


@dataclass(frozen=True)
class StepArtifact:
    """A published file of a step."""

    name: str
    kind: str
    sha256: str
    num_bytes: int
    path: Path


@dataclass(frozen=True)
class FinishedStep:
    """A succeeded child job. seconds: from its first start to its end."""

    job_id: str
    kind: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any]
    output_model_id: str | None
    artifacts: tuple[StepArtifact, ...]
    seconds: float
    is_reused: bool
    """The job had been done before, for somebody else."""


@dataclass(frozen=True)
class JobOutcome:
    """What a run returns: the result as JSON, and the model that is its main product."""

    result: Mapping[str, Any]
    output_model_id: str | None = None


class JobContext(Workspace, Protocol):
    """Everything a run may touch."""

    job_id: str
    threads: int
    scratch: Path
    """A folder of this job alone that survives a killed attempt: finished steps are kept here."""

    def upload_file(self) -> Path:
        """Path of the file that came with the request, its SHA-256 checked. Nobody has looked into it yet."""

    def run_steps(self, steps: Mapping[str, Step], *, later_s: float = 0.0) -> Mapping[str, FinishedStep]:
        """Runs child jobs, those that have been done before excepted; returns them by name.

        Where one has not ended, raises StepsPending: the attempt is over, the job waits without a process, and later
        `run` starts again from its beginning, to pass here at once. So do nothing expensive before, and ask for the
        same steps again. later_s: what the steps not asked for yet may cost. Raises StepFailed, JobCancelled.
        """
