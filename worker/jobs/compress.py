"""The smallest file within an accuracy drop: prune, quantize, encode."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from worker.catalog import Effort
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId


class CompressSpec(JobSpec):
    """Finds the smallest compressed file whose validation drop is at most `max_accuracy_drop`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "latest", "effort": "quick"}]})

    kind: Literal["compress"] = "compress"
    model_id: ModelId
    max_accuracy_drop: float = Field(1.0, ge=0, le=100, description="Percentage points on validation.")
    effort: Effort = Effort.QUICK


def run(spec: CompressSpec, context: JobContext) -> JobOutcome:
    raise NotImplementedError
