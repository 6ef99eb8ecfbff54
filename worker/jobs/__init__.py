"""The job kinds. To add one: a module with a spec and a run, and its spec in `AnySpec`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from storage.errors import InvalidSpec
from worker.job_spec import JobContext, JobOutcome, JobSpec, UploadSpec
from worker.job_spec import check_memory as check_memory
from worker.jobs.compress import CompressSpec
from worker.jobs.export import ExportSpec
from worker.jobs.import_dataset import ImportDatasetSpec
from worker.jobs.import_model import ImportSpec
from worker.jobs.predict import PredictSpec
from worker.jobs.prune import PruneSpec
from worker.jobs.quantize import QuantizeSpec
from worker.jobs.study import StudySpec
from worker.jobs.train import TrainSpec
from worker.stored_specs import StoredSpec, adapt_spec

PRELOAD = (
    "torch",
    "worker.pictures",
    "worker.core.compression.pipeline",
    "worker.core.pruning.search",
    "worker.model_files",
)
"""What a process imports while it waits for a job, the core with all its libraries: that takes seconds."""

AnySpec = (
    TrainSpec
    | PruneSpec
    | QuantizeSpec
    | CompressSpec
    | StudySpec
    | ExportSpec
    | ImportSpec
    | ImportDatasetSpec
    | PredictSpec
)

SPECS: dict[str, type[JobSpec]] = {spec.model_fields["kind"].default: spec for spec in get_args(AnySpec)}
POSTED_SPECS = {kind: spec for kind, spec in SPECS.items() if not issubclass(spec, UploadSpec)}
"""The kinds that are posted as JSON to /v1/jobs/<kind>."""

LIGHT_KINDS = frozenset(kind for kind, spec in SPECS.items() if spec.is_light)
"""The kinds that a worker runs beside its slots."""

_parser: TypeAdapter[AnySpec] = TypeAdapter(Annotated[AnySpec, Field(discriminator="kind")])


def parse_spec(resolved_spec: dict[str, Any]) -> AnySpec:
    """JSON that somebody sends to its spec, by today's rules. Raises pydantic's ValidationError."""
    return _parser.validate_python(resolved_spec)


def parse_stored_spec(resolved_spec: Mapping[str, Any]) -> StoredSpec:
    """The stored JSON of a job back to its spec, whichever version stored it. Raises InvalidSpec."""
    kind = resolved_spec.get("kind")
    if not isinstance(kind, str) or kind not in SPECS:
        raise InvalidSpec(f"kind: this version knows no job of the kind {kind}", field="kind")
    return adapt_spec(SPECS[kind], resolved_spec)


def run_spec(spec: JobSpec, context: JobContext) -> JobOutcome:
    """Calls the `run` that stands beside the spec's class."""
    outcome: JobOutcome = sys.modules[type(spec).__module__].run(spec, context)
    return outcome
