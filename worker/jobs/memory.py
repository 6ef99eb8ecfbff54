"""What memory a job will take, told from its spec before anything is started. Loads without torch: the API asks too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from storage.errors import TooMuchMemory
from worker.catalog import Architecture, DatasetName, Optimizer, QuantizationMode
from worker.jobs.base import JobSpec
from worker.jobs.compress import CompressSpec
from worker.jobs.prune import PruneSpec
from worker.jobs.quantize import QuantizeSpec
from worker.jobs.study import StudySpec
from worker.jobs.train import TrainSpec
from worker.memory_estimate import (
    CALIBRATION_EXAMPLES,
    EVALUATION_BATCH,
    FLOAT_BYTES,
    LayerShape,
    MemoryEstimate,
    Part,
    count_weights,
    estimate_encoding,
    estimate_passes,
    estimate_pictures,
    estimate_rounding,
    estimate_training,
    list_layer_shapes,
)

RETRAINING_BATCH = 128
"""Of every kind that starts from a stored model."""
NARROWED_SHARE = 0.4
"""`compress` rounds a network that has lost at least so many of its channels."""
_MIB = 1 << 20

DescribeModel = Callable[[str], Mapping[str, Any]]
"""A stored model's id to its summary."""


def estimate_memory(spec: JobSpec, describe_model: DescribeModel) -> MemoryEstimate | None:
    """What a job will hold at its peak; None for a kind whose memory its file decides, or a model of unknown shape."""
    match spec:
        case TrainSpec():
            layers = list_layer_shapes(spec.architecture, spec.widths)
            return _estimate_train(layers, spec.dataset, _count_at_a_time(spec), spec.optimizer)
        case StudySpec():
            layers = list_layer_shapes(spec.architecture, spec.widths)
            steps = [
                _estimate_train(layers, spec.dataset, RETRAINING_BATCH, Optimizer.ADAMW),
                _estimate_prune(layers, spec.dataset),
                _estimate_quantize(layers, spec.dataset, is_trained=True),
                _estimate_compress(layers, spec.dataset),
            ]
            return max(steps, key=lambda step: step.num_bytes)
        case PruneSpec() | QuantizeSpec() | CompressSpec():
            found = _read_layers(describe_model(spec.model_id))
            if found is None:
                return None
            layers, dataset = found
            if isinstance(spec, PruneSpec):
                return _estimate_prune(layers, dataset)
            if isinstance(spec, CompressSpec):
                return _estimate_compress(layers, dataset)
            is_trained = spec.mode is QuantizationMode.QUANTIZATION_AWARE
            return _estimate_quantize(layers, dataset, is_trained=is_trained)
    return None


def check_memory(spec: JobSpec, describe_model: DescribeModel, max_bytes: int | None) -> MemoryEstimate | None:
    """The estimate. Raises TooMuchMemory where it is more than a job may hold."""
    estimate = estimate_memory(spec, describe_model)
    if estimate is not None and max_bytes is not None and estimate.num_bytes > max_bytes:
        field = find_field(spec, estimate)
        raise TooMuchMemory(
            f"{field}: the job would need about {estimate.num_bytes // _MIB:,} MiB of memory, and may hold "
            f"{max_bytes // _MIB:,} (TONOK_MAX_JOB_BYTES)",
            field=f"/{field}",
        )
    return estimate


def find_field(spec: JobSpec, estimate: MemoryEstimate) -> str:
    """The field of a spec that most of its memory goes back to."""
    if not isinstance(spec, TrainSpec | StudySpec):
        return "model_id"
    if estimate.dominant is Part.PICTURES:
        return "dataset"
    shape = "architecture" if spec.widths is None else "widths"
    if estimate.dominant is Part.WEIGHTS or isinstance(spec, StudySpec):
        return shape
    # With few pictures at a time the evaluation takes more, and no smaller batch would help.
    layers = list_layer_shapes(spec.architecture, spec.widths)
    is_batch = estimate_training(layers, _count_at_a_time(spec)) > estimate_passes(layers, EVALUATION_BATCH)
    return "batch_size" if is_batch and spec.batch_size > 1 else shape


def _count_at_a_time(spec: TrainSpec) -> int:
    """Pictures of a batch: no more than there are."""
    return min(spec.batch_size, spec.dataset.facts.num_pictures, spec.max_train_examples or spec.batch_size)


def _read_layers(summary: Mapping[str, Any]) -> tuple[list[LayerShape], DatasetName | None] | None:
    """The layers of a stored model, and its data set. None for one that no architecture of ours describes."""
    with suppress(KeyError, TypeError, ValueError):
        channels, height, width = summary["input_shape"]
        layers = list_layer_shapes(
            Architecture(summary["architecture"]),
            summary["widths"],
            (channels, height, width),
            len(summary["class_names"]),
        )
        return layers, None
    return None


def _sum_up(layers: list[LayerShape], dataset: DatasetName | None, copies: float, values: int) -> MemoryEstimate:
    return MemoryEstimate(
        {
            Part.PICTURES: estimate_pictures(dataset),
            Part.WEIGHTS: round(copies * count_weights(layers) * FLOAT_BYTES),
            Part.BATCHES: values,
        }
    )


def _estimate_train(
    layers: list[LayerShape], dataset: DatasetName | None, batch_size: int, optimizer: Optimizer
) -> MemoryEstimate:
    # The weights, their gradients, what the optimizer keeps of each, and the best epoch's.
    copies = 3.5 + optimizer.num_states
    values = max(estimate_training(layers, batch_size), estimate_passes(layers, EVALUATION_BATCH))
    return _sum_up(layers, dataset, copies, values)


def _estimate_prune(layers: list[LayerShape], dataset: DatasetName | None) -> MemoryEstimate:
    # As for training; the dense model, masks and scores besides.
    values = max(estimate_training(layers, RETRAINING_BATCH), estimate_passes(layers, EVALUATION_BATCH))
    return _sum_up(layers, dataset, 7, values)


def _estimate_quantize(layers: list[LayerShape], dataset: DatasetName | None, *, is_trained: bool) -> MemoryEstimate:
    values = max(
        estimate_passes(layers, CALIBRATION_EXAMPLES),
        estimate_training(layers, RETRAINING_BATCH, quantized=True) if is_trained else 0,
        estimate_encoding(layers),
    )
    return _sum_up(layers, dataset, 9 if is_trained else 6, values)


def _estimate_compress(layers: list[LayerShape], dataset: DatasetName | None) -> MemoryEstimate:
    values = max(
        estimate_passes(layers, CALIBRATION_EXAMPLES),
        estimate_training(layers, RETRAINING_BATCH, quantized=True),
        estimate_rounding(layers, 1 - NARROWED_SHARE),
        estimate_encoding(layers),
    )
    return _sum_up(layers, dataset, 10, values)
