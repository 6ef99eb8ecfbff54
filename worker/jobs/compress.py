"""The smallest file within an accuracy drop: prune, quantize, encode."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from worker.catalog import ArtifactKind, Effort
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId


class CompressSpec(JobSpec):
    """Finds the smallest compressed file whose validation drop is at most `max_accuracy_drop`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "latest", "effort": "quick"}]})

    version: ClassVar[int] = 5

    kind: Literal["compress"] = "compress"
    model_id: ModelId
    max_accuracy_drop: float = Field(1.0, ge=0, le=100, description="Percentage points on validation.")
    effort: Effort = Effort.QUICK
    controls: bool = Field(
        False,
        description="Also train what the file is held against, each for as many epochs by the same teacher: the same "
        "network not pruned, "
        "the same pruned at random, and a small dense network of about the same bytes. Three to four times the time.",
    )


def run(spec: CompressSpec, context: JobContext) -> JobOutcome:
    """Follows the plan of the effort, then stores the smallest candidate within the drop and measures its file."""
    from worker.core import plots
    from worker.core.plots_ablation import AblationStep, plot_ablation
    from worker.jobs.ablation import measure_ablation
    from worker.jobs.candidates import choose_candidate, find_front
    from worker.jobs.compress_timetable import FINISHING
    from worker.jobs.controls import measure_controls
    from worker.jobs.reserve import CONFIDENCE
    from worker.jobs.shrinking import Shrinker
    from worker.model_files import describe_result, open_baseline, plot_results, save_integer_model

    baseline = open_baseline(context, spec.model_id)
    shrinker = Shrinker(spec, context, baseline)
    candidates = shrinker.run()
    chosen, reserve = choose_candidate(candidates), shrinker.gallery.reserve
    if not chosen.within:
        context.warn(
            f"no candidate stays within {spec.max_accuracy_drop} points on validation; the most accurate one is kept"
        )
    elif not reserve.is_decidable:
        context.warn(
            f"{reserve.num_pictures} validation pictures are too few to say that the drop on others stays within "
            f"{spec.max_accuracy_drop} points: what can be said with {100 * CONFIDENCE:.0f} % confidence is "
            f"{chosen.drop_bound:.2f}"
        )
    elif not chosen.safe:
        context.warn(
            "the chosen file is within the drop, but without a reserve: on other pictures it may be up to "
            f"{chosen.drop_bound:.2f} points"
        )
    controls = measure_controls(shrinker, chosen) if spec.controls else None
    ablation = measure_ablation(shrinker, chosen)
    shrinker.gallery.report(FINISHING, 0.0, phase="measuring")
    name = f"compressed-{spec.effort}"
    saved = save_integer_model(context, name, shrinker.gallery.load(chosen), baseline, title=spec.name)
    front = find_front(candidates)
    plots.plot_front(
        context.artifact_path(f"{name}-front.png", ArtifactKind.PLOT),
        [(candidate.num_bytes, candidate.accuracy) for candidate in candidates],
        [(candidate.num_bytes, candidate.accuracy) for candidate in front],
        threshold=baseline.validation.accuracy - spec.max_accuracy_drop / 100,
        chosen=(chosen.num_bytes, chosen.accuracy),
        title="Every candidate: bytes of the file against validation accuracy",
    )
    plot_ablation(
        context.artifact_path(f"{name}-ablation.png", ArtifactKind.PLOT),
        [AblationStep(row.technique, row.bytes_after, row.drop_after) for row in ablation],
        max_drop=spec.max_accuracy_drop,
        title="What each technique bought, on top of those above it",
    )
    plot_results(context, saved, baseline.data, name)
    result = describe_result(saved, baseline) | {
        "file_bytes": saved.num_bytes,
        "compression_ratio": baseline.reference_bytes / saved.num_bytes,
        "within_max_accuracy_drop": chosen.within,
        "reserve": reserve.to_json(chosen.lost, chosen.gained),
        "chosen": asdict(chosen),
        "candidates": [asdict(candidate) for candidate in candidates],
        "front": [asdict(candidate) for candidate in front],
        "ablation": [asdict(row) for row in ablation],
        "controls": None if controls is None else [asdict(control) for control in controls],
        "techniques": shrinker.describe_techniques(chosen),
        "trainings": shrinker.trainings.to_json(),
    }
    return JobOutcome(result, saved.model_id)
