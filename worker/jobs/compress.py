"""The smallest file within an accuracy drop: prune, quantize, encode."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field

from worker.catalog import ArtifactKind, Effort
from worker.compression_plan import PLANS
from worker.compression_plan.parts import CONTROLS_FACTOR
from worker.dataset_refs import Describe
from worker.job_spec import JobContext, JobOutcome, JobSpec, ModelId
from worker.memory_estimate import MemoryEstimate, estimate_compress, find_facts, read_layers
from worker.results.compress import CompressResult
from worker.techniques import describe_techniques

if TYPE_CHECKING:
    from worker.core.compression.pipeline import CompressionResult


class CompressSpec(JobSpec):
    """Finds the smallest compressed file whose validation drop is at most `max_accuracy_drop`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "latest", "effort": "quick"}]})

    version: ClassVar[int] = 9

    kind: Literal["compress"] = "compress"
    model_id: ModelId
    max_accuracy_drop: float = Field(1.0, ge=0, le=100, description="Percentage points on validation.")
    effort: Effort = Effort.QUICK
    controls: bool = Field(
        False,
        description="Also train what the file is held against, each for as many epochs by the same teacher: the same "
        "network not pruned, the same pruned at random, and a small dense network of about the same bytes. Takes about "
        f"{CONTROLS_FACTOR:.1f} times as long, and more where training takes nearly all of the time.",
    )

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:
        """Estimates it from the stored model's shape."""
        summary = describe(self.model_id)
        layers = read_layers(summary)
        return None if layers is None else estimate_compress(layers, find_facts(summary, describe))


def run(spec: CompressSpec, context: JobContext) -> JobOutcome:
    """Compresses by the plan of the effort, then stores the file that was chosen and measures it."""
    from worker.core.compression.pipeline import compress
    from worker.core.measured_model import read_whole_pixels, store_compressed_file
    from worker.core.resume import open_plan_folder
    from worker.model_files import open_baseline, publish

    baseline, plan = read_whole_pixels(open_baseline(context, spec.model_id)), PLANS[spec.effort]
    found = compress(
        baseline.model,
        baseline.data,
        plan,
        spec.max_accuracy_drop,
        spec.seed,
        context,
        checkpoints=open_plan_folder(context.scratch, f"{spec.version} {plan}"),
        baseline=baseline,
        with_controls=spec.controls,
    )
    path = context.artifact_path(f"compressed-{spec.effort}.tonok", ArtifactKind.COMPRESSED)
    measured = store_compressed_file(path, found.file, baseline)
    model_id = publish(context, measured, spec.name)
    _plot_search(context, path.stem, found)
    chosen = found.chosen
    result = measured.fields | {
        "model_id": model_id,
        "file_bytes": measured.num_bytes,
        "compression_ratio": baseline.reference_bytes / measured.num_bytes,
        "within_max_accuracy_drop": chosen.within,
        "reserve": found.reserve.to_json(chosen.lost, chosen.gained),
        "chosen": chosen.to_json(),
        "candidates": [candidate.to_json() for candidate in found.candidates],
        "front": [candidate.to_json() for candidate in found.front],
        "stages": [asdict(stage) for stage in found.stages],
        "ablation": [row.to_json() for row in found.ablation],
        "controls": None if found.controls is None else [control.to_json() for control in found.controls],
        "techniques": describe_techniques(found.applied),
        "applied": found.applied,
        "trainings": [training.to_json() for training in found.trainings],
    }
    return JobOutcome(CompressResult.model_validate(result).to_json(), model_id)


def _plot_search(context: JobContext, name: str, found: CompressionResult) -> None:
    from worker.report.figures.ablation import AblationStep, draw_ablation
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.compression import draw_front
    from worker.report.language.techniques import name_techniques
    from worker.report.language.wording import get_wording

    draw_front(
        make_titled("Every candidate: bytes of the file against validation accuracy"),
        context.artifact_path(f"{name}-front.png", ArtifactKind.PLOT),
        [(candidate.num_bytes, candidate.accuracy) for candidate in found.candidates],
        [(candidate.num_bytes, candidate.accuracy) for candidate in found.front],
        threshold=found.least_accuracy,
        chosen=(found.chosen.num_bytes, found.chosen.accuracy),
    )
    draw_ablation(
        make_titled("What each technique bought, on top of those above it"),
        context.artifact_path(f"{name}-ablation.png", ArtifactKind.PLOT),
        [
            AblationStep(name_techniques(get_wording("en"), row.applied), row.bytes_after, row.drop_after)
            for row in found.ablation
        ],
        max_drop=found.reserve.max_drop,
    )
