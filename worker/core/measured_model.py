"""All that is told of a model: measured from its file as it is read back, and held against the one it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from storage.errors import InvalidModel
from worker.catalog import HealthProblem
from worker.checkpoint_facts import CheckpointInfo
from worker.core.baseline import Baseline
from worker.core.checkpoint import describe_checkpoint, load_checkpoint, load_compressed, save_checkpoint
from worker.core.device import find_device
from worker.core.health import describe_problems, is_chance
from worker.core.lineage import load_lineage_data
from worker.core.measure import Metrics, choose_batch, measure_latencies, measure_metrics
from worker.core.models.build import get_record
from worker.core.stored_model import StoredModel, describe_float, describe_integers
from worker.core.training import Evaluation
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset
from worker.intervals import compute_wilson_interval
from worker.model_description import StoredFacts, summarise
from worker.model_summary import AccuracyDrop, DropIntervals, ModelSummary, Origin
from worker.model_summary import Evaluation as StoredEvaluation
from worker.normalization import take_whole_pixels
from worker.paired import Correctness, Score, compute_difference, compute_drop

BUSY_MACHINE = "the machine was busy"
"""How a warning about the machine, rather than about a model, begins."""
_NEEDED = ("evaluation", "correctness", "health", "origin", "size", "bit_width")
"""What of a stored model's summary a job that starts from it goes by."""


@dataclass(frozen=True)
class StoredBaseline(Baseline):
    """A stored float model that a job starts from. summary: what was measured of it when it was stored."""

    model_id: str
    summary: ModelSummary

    @property
    def origin(self) -> Origin:
        """The first model of the lineage, against which ratios are."""
        return self.summary.origin or Origin(model_id=self.model_id, test_accuracy=self.test.accuracy)

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """What is wrong with it. Of a model stored before its health was recorded, its counts alone can be judged."""
        if self.summary.health is not None:
            return self.summary.health.problems
        labels = self.data.validation.labels.bincount()
        largest = int(labels.max()) / int(labels.sum())
        chance = is_chance(self.validation.num_correct, self.validation.num_examples, largest)
        return (HealthProblem.CHANCE,) if chance else ()


@dataclass(frozen=True)
class Source:
    """What is known of a quantized model that was made elsewhere. reference_bytes: of it as a plain checkpoint."""

    info: CheckpointInfo
    data: Dataset
    reference_bytes: int


@dataclass(frozen=True)
class MeasuredModel(StoredModel):
    """A network that was read back from its file, and what was measured of it. baseline: the model it was made from."""

    baseline: StoredBaseline | None
    metrics: Metrics

    @property
    def baseline_model_id(self) -> str | None:
        """The model that it was made from."""
        return None if self.baseline is None else self.baseline.model_id

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the result of every kind has which makes a model, but for its id."""
        return {
            **super().fields,
            "classification_report": self.metrics.report,
            "confusion_matrix": self.metrics.matrix.tolist(),
            **({} if self.baseline is None else {"baseline": _describe_baseline(self.baseline)}),
        }

    def check_answers(self) -> None:
        """Raises InvalidModel where an answer is no number: finite weights may add up to none."""
        if HealthProblem.NOT_FINITE in self.metrics.health.problems:
            raise InvalidModel(
                f"the network answers numbers that are not finite to {self.metrics.health.num_not_finite} pictures"
            )

    def list_warnings(self, name: str) -> list[str]:
        """Says in a line each what is wrong with the model, with what it is held against, and with its times."""
        warnings = []
        load = None if self.summary.latency is None else self.summary.latency.load
        if load is not None and load.is_busy:
            others = load.other_cores
            told = "it took turns with others" if others is None else f"others kept {others:.1f} of its cores busy"
            warnings.append(f"{BUSY_MACHINE} while {name} was timed: {told}, and its latency may be too long")
        warnings += [f"{name}: {said}" for said in describe_problems(self.metrics.health, self.info.class_names)]
        if self.baseline is not None and self.baseline.problems:
            warnings.append(
                f"the model that it started from, {self.baseline.model_id}, is not sound "
                f"({', '.join(self.baseline.problems)}): a drop against it, however small, says nothing good"
            )
        return warnings


def _describe_baseline(baseline: StoredBaseline) -> dict[str, Any]:
    return {
        "model_id": baseline.model_id,
        "validation_accuracy": baseline.validation.accuracy,
        "test_accuracy": baseline.test.accuracy,
        "problems": baseline.problems,
    }


def load_baseline(model_id: str, path: Path, stored: Mapping[str, Any], location: DatasetLocation) -> StoredBaseline:
    """Loads a stored float model with the data of its lineage, as its file reads and names them.

    stored: its summary, whichever version wrote that. location: where data sets lie.
    Raises InvalidModel for a model that is quantized already, and for one whose summary says too little.
    """
    summary = _read_needed(model_id, stored)
    if summary.bit_width is not None:
        raise InvalidModel(
            f"{model_id} is quantized already; start from the float model that it came from", field="model_id"
        )
    measured = summary.evaluation
    size = summary.size
    if measured is None or measured.validation is None or measured.test is None:
        raise InvalidModel(f"{model_id}: how accurate it is was not stored", field="model_id")
    if size is None or size.reference_bytes is None:
        raise InvalidModel(f"{model_id}: the size that ratios are against was not stored", field="model_id")
    model, info = load_checkpoint(path)
    return StoredBaseline(
        model=model.to(find_device()),
        info=info,
        data=load_lineage_data(info, location),
        validation=_read_evaluation(measured.validation),
        test=_read_evaluation(measured.test),
        reference_bytes=size.reference_bytes,
        model_id=model_id,
        summary=summary,
    )


def read_whole_pixels(baseline: StoredBaseline) -> StoredBaseline:
    """The same for what is to compute on integers: its pixels less whole numbers, by `take_whole_pixels`."""
    mean = take_whole_pixels(baseline.info.mean)
    return replace(baseline, info=replace(baseline.info, mean=mean), data=replace(baseline.data, mean=mean))


def _read_needed(model_id: str, stored: Mapping[str, Any]) -> ModelSummary:
    """Nothing of it is left out, as `read_summary` would: without a problem the model would be called sound."""
    try:
        return ModelSummary.read({name: stored[name] for name in _NEEDED if name in stored})
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise InvalidModel(
            f"{model_id}: what is stored of it cannot be read by this version ({place})", field="model_id"
        ) from error


def _read_evaluation(stored: StoredEvaluation) -> Evaluation:
    return Evaluation(math.nan if stored.loss is None else stored.loss, stored.num_correct, stored.num_examples)


def store_float_model(
    path: Path, model: nn.Module, architecture: str, data: Dataset, baseline: StoredBaseline | None = None
) -> MeasuredModel:
    """Writes a checkpoint, reads it back and measures what was read.

    baseline: the model it came from; None for one trained from scratch, whose own file is then the reference.
    """
    num_bytes = save_checkpoint(path, model, describe_checkpoint(model, architecture, data))
    stored, info = load_checkpoint(path)
    stored.to(find_device())
    metrics = measure_metrics(stored, data)
    facts = describe_float(stored, info, num_bytes, num_bytes if baseline is None else baseline.reference_bytes)
    timed = [stored, *([] if baseline is None else [baseline.model])]
    batch_size = choose_batch(max(sum(get_record(model).macs.values()) for model in timed))
    latency, *baseline_latency = measure_latencies(timed, info.input_shape, batch_size=batch_size)
    own = {"latency": latency, "baseline_latency": baseline_latency[0] if baseline_latency else None}
    return _gather(path, info, baseline, metrics, replace(facts, own=facts.own | own))


def store_compressed_file(path: Path, file: bytes, origin: StoredBaseline | Source) -> MeasuredModel:
    """Writes a `.tonok` file, decodes it from disk and measures the decoded network on its integers."""
    baseline = origin if isinstance(origin, StoredBaseline) else None
    path.write_bytes(file)
    model, decoded = load_compressed(path)
    model.to(find_device())
    metrics = measure_metrics(model, origin.data)
    facts = describe_integers(model, decoded, path.stat().st_size, origin.reference_bytes)
    return _gather(path, origin.info, baseline, metrics, facts)


def _gather(
    path: Path, info: CheckpointInfo, baseline: StoredBaseline | None, metrics: Metrics, facts: StoredFacts
) -> MeasuredModel:
    fields = summarise(info, facts)
    summary = ModelSummary(
        **fields,
        evaluation=metrics.to_json(),
        correctness={split: one.to_json() for split, one in metrics.correctness.items()},
        health=metrics.health.to_json(),
        accuracy_drop=None if baseline is None else _compute_drops(baseline, metrics),
        accuracy_drop_interval=None if baseline is None else _compute_intervals(baseline, metrics),
        origin=None if baseline is None else baseline.origin,
    )
    return MeasuredModel(path, info, fields["sparsity"], facts.sizes, summary, baseline, metrics)


def _compute_drops(baseline: StoredBaseline, metrics: Metrics) -> AccuracyDrop:
    """Ratios are against the first model of the lineage; so the drop from there stands beside the job's own."""
    return AccuracyDrop(
        validation=compute_drop(baseline.validation, metrics.validation),
        test=compute_drop(baseline.test, metrics.test),
        test_from_origin=100 * (baseline.origin.test_accuracy - metrics.test.accuracy),
        baseline_model_id=baseline.model_id,
        baseline_problems=baseline.problems,
    )


def _compute_intervals(baseline: StoredBaseline, metrics: Metrics) -> DropIntervals:
    """How sure the drop of each split is, and what that rests on."""
    intervals = {}
    for split in ("validation", "test"):
        kept = baseline.summary.correctness
        before = _score(getattr(baseline, split), None if kept is None else kept.unpack(split))
        now = _score(getattr(metrics, split), metrics.correctness[split])
        intervals[split] = compute_difference(before, now).to_json()
    return DropIntervals.model_validate(intervals)


def _score(evaluation: Evaluation, correctness: Correctness | None) -> Score:
    counts = evaluation.num_correct, evaluation.num_examples
    return Score(*counts, compute_wilson_interval(*counts), correctness)
