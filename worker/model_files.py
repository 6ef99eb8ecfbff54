"""What every kind does before and after its own work: opens its input model; saves, measures and registers models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.baseline_comparison import (
    describe_drop_intervals,
    is_answering,
    list_problems,
    warn_of_health,
    warn_of_load,
)
from worker.catalog import ArtifactKind
from worker.checkpoint_facts import CheckpointInfo
from worker.coding import compute_entropy_bytes, compute_packed_bytes, encode_network
from worker.core.baseline import Baseline, compute_drop
from worker.core.checkpoint import (
    COMPRESSED_SUFFIX,
    SUFFIX,
    describe_checkpoint,
    load_checkpoint,
    load_compressed,
    save_checkpoint,
)
from worker.core.datasets import Dataset
from worker.core.device import find_device
from worker.core.graph import list_layers
from worker.core.lineage import load_lineage_data
from worker.core.measure import (
    Metrics,
    build_ledger,
    compute_float_sizes,
    count_macs,
    measure_latencies,
    measure_metrics,
)
from worker.core.pruning import check_sparsity
from worker.core.training import Evaluation
from worker.environment import describe_environment
from worker.integer_network import IntegerNetwork
from worker.model_summary import ModelSummary
from worker.progress import Progress
from worker.report.figures.canvas import make_titled
from worker.report.figures.compression import draw_layers, draw_ledger
from worker.report.figures.training import draw_confusion
from worker.workspace import ModelRecord, Workspace

FLOAT_BITS = 32
_DESCRIBED = ("architecture", "widths", "parameters", "input_shape", "class_names", "layers")
"""What of a model's summary a result repeats, so that it can be read without the model."""


@dataclass(frozen=True)
class StoredBaseline(Baseline):
    """The stored float model that a job starts from."""

    model_id: str
    origin: Mapping[str, Any] | None
    """Id and test accuracy of the first model of the lineage; None when this is the first."""


@dataclass(frozen=True)
class Source:
    """What is known of a quantized model that was made elsewhere."""

    info: CheckpointInfo
    data: Dataset
    reference_bytes: int


@dataclass(frozen=True)
class SavedModel:
    """A model registered with the context, and what was measured of it."""

    model_id: str
    metrics: Metrics
    summary: Mapping[str, Any]
    num_bytes: int


def open_baseline(context: Workspace, model_id: str) -> StoredBaseline:
    """Loads a stored float model with the data of its lineage, as its file reads and names them. How good it is was
    measured when it was stored.

    Raises InvalidModel for a model that is quantized already.
    """
    path = context.model_file(model_id)
    summary = context.model_summary(model_id)
    context.report(Progress(phase="loading", percent=0))
    if summary.get("bit_width") is not None:
        raise InvalidModel(
            f"{model_id} is quantized already; start from the float model that it came from", field="model_id"
        )
    model, info = load_checkpoint(path)
    model.to(find_device())
    data = load_lineage_data(info, context.datasets.root, context.datasets.mirror)
    return StoredBaseline(
        model_id=model_id,
        model=model,
        info=info,
        data=data,
        validation=_read_evaluation(summary, "validation"),
        test=_read_evaluation(summary, "test"),
        reference_bytes=int(summary["size"]["reference_bytes"]),
        origin=summary.get("origin"),
    )


def _read_evaluation(summary: Mapping[str, Any], split: str) -> Evaluation:
    measured = summary["evaluation"][split]
    loss = math.nan if measured["loss"] is None else measured["loss"]
    return Evaluation(loss, measured["num_correct"], measured["num_examples"])


def save_float_model(
    context: Workspace,
    name: str,
    model: nn.Module,
    architecture: str,
    data: Dataset,
    baseline: StoredBaseline | None,
    *,
    title: str | None = None,
    is_foreign: bool = False,
) -> SavedModel:
    """Writes `<name>.safetensors`, reads it back, measures what was read and registers it.

    baseline: the model it came from; None for one trained from scratch, whose own file is then the reference.
    title: what people call the model; by default `name`, which names its files. is_foreign: it was made elsewhere, and
    is refused with InvalidModel where it answers what is no number.
    """
    path = context.artifact_path(name + SUFFIX, ArtifactKind.CHECKPOINT)
    num_bytes = save_checkpoint(path, model, describe_checkpoint(model, architecture, data))
    stored, info = load_checkpoint(path)
    stored.to(find_device())
    metrics = measure_metrics(stored, data)
    if is_foreign:
        _check_answers(metrics)
    before = None if baseline is None else context.model_summary(baseline.model_id)
    reference = baseline.reference_bytes if baseline is not None else num_bytes
    sizes = {"float32": reference, **compute_float_sizes(stored), "file": num_bytes}
    layers = {layer: tuple(module.weight.shape) for layer, module in list_layers(stored).items()}
    latency, *baseline_latency = measure_latencies([stored, *([baseline.model] if baseline else [])], info.input_shape)
    summary = _summarize(
        info=info,
        metrics=metrics,
        baseline=baseline,
        before=before,
        sizes=sizes,
        reference_bytes=reference,
        zeros={layer.name: layer.num_zeros for layer in check_sparsity(stored).layers},
        shapes=layers,
        bit_widths=dict.fromkeys(layers, FLOAT_BITS),
        macs=count_macs(stored, info.input_shape),
    ) | {
        "bit_width": None,
        "parameters": sum(parameter.numel() for parameter in stored.parameters()),
        "latency": latency,
        "baseline_latency": baseline_latency[0] if baseline_latency else None,
    }
    warn_of_load(context, title or name, latency)
    return _register(context, title or name, path, "checkpoint", info, baseline, metrics, summary)


def save_integer_model(
    context: Workspace, name: str, network: IntegerNetwork, origin: StoredBaseline | Source, *, title: str | None = None
) -> SavedModel:
    """Encodes a network, and saves the file by `save_compressed_file`."""
    return save_compressed_file(context, name, encode_network(network), origin, title=title)


def save_compressed_file(
    context: Workspace, name: str, file: bytes, origin: StoredBaseline | Source, *, title: str | None = None
) -> SavedModel:
    """Writes `<name>.tonok`, decodes it from disk, measures the decoded network on its integers and registers it."""
    baseline = origin if isinstance(origin, StoredBaseline) else None
    path = context.artifact_path(name + COMPRESSED_SUFFIX, ArtifactKind.COMPRESSED)
    path.write_bytes(file)
    model, decoded = load_compressed(path)
    model.to(find_device())
    metrics = measure_metrics(model, origin.data)
    if isinstance(origin, Source):
        _check_answers(metrics)
    before = None if baseline is None else context.model_summary(baseline.model_id)
    weights = {layer.name: layer.weight for layer in decoded.layers}
    bit_widths = {layer.name: layer.bit_width for layer in decoded.layers}
    sizes = {
        "float32": origin.reference_bytes,
        "formula": -(-sum(weights[layer].size * bits for layer, bits in bit_widths.items()) // 8),
        "packed": compute_packed_bytes(decoded),
        "entropy": math.ceil(compute_entropy_bytes(decoded)),
        "file": path.stat().st_size,
    }
    macs = count_macs(model, decoded.input_shape)
    summary = _summarize(
        info=origin.info,
        metrics=metrics,
        baseline=baseline,
        before=before,
        sizes=sizes,
        reference_bytes=origin.reference_bytes,
        zeros={layer: int((weight == 0).sum()) for layer, weight in weights.items()},
        shapes={layer: weight.shape for layer, weight in weights.items()},
        bit_widths=bit_widths,
        macs=dict(zip(weights, macs.values(), strict=True)),
    ) | {
        "widths": list(decoded.widths),
        "bit_width": max(bit_widths.values()),
        "activation_bit_widths": [layer.input_bit_width for layer in decoded.layers],
        "parameters": sum(weight.size for weight in weights.values()) + sum(x.bias.size for x in decoded.layers),
        # The integers are computed here in floating point, exactly but not fast: a time would mislead.
        "latency": None,
    }
    path_of_plot = context.artifact_path(f"{name}-size.png", ArtifactKind.PLOT)
    draw_ledger(make_titled(f"Size of {name}, each way to count"), path_of_plot, sizes)
    return _register(context, title or name, path, "compressed", origin.info, baseline, metrics, summary)


def _check_answers(metrics: Metrics) -> None:
    """Finite weights are not enough: they may be so large that what they add up to is none."""
    if not is_answering(metrics):
        raise InvalidModel(
            f"the network answers numbers that are not finite to {metrics.health.num_not_finite} pictures"
        )


def plot_results(context: Workspace, saved: SavedModel, data: Dataset, name: str) -> None:
    """The confusion matrix on test and the sparsity of each layer, as PNG artifacts."""
    test, sparsity = saved.metrics.test, saved.summary["sparsity"]
    draw_confusion(
        make_titled(f"{name} on test: {test.num_correct:,} of {test.num_examples:,} right"),
        context.artifact_path(f"{name}-confusion.png", ArtifactKind.PLOT),
        saved.metrics.matrix.tolist(),
        data.class_names,
    )
    draw_layers(
        make_titled(f"Zeros in each layer of {name}: {100 * sparsity['total']:.2f} % of all weights"),
        context.artifact_path(f"{name}-sparsity.png", ArtifactKind.PLOT),
        [layer["name"] for layer in sparsity["layers"]],
        {name: [layer["sparsity"] for layer in sparsity["layers"]]},
    )


def describe_result(saved: SavedModel, baseline: StoredBaseline | None) -> dict[str, Any]:
    """The part of a job's result that every kind has."""
    result = {
        "model_id": saved.model_id,
        **{name: saved.summary[name] for name in _DESCRIBED},
        "evaluation": saved.summary["evaluation"],
        "correctness": saved.summary["correctness"],
        "health": saved.summary["health"],
        "accuracy_drop": saved.summary["accuracy_drop"],
        "accuracy_drop_interval": saved.summary["accuracy_drop_interval"],
        "sparsity": saved.summary["sparsity"],
        "size": saved.summary["size"],
        "macs": saved.summary["macs"],
        "latency": saved.summary["latency"],
        "classification_report": saved.metrics.report,
        "confusion_matrix": saved.metrics.matrix.tolist(),
        "environment": describe_environment(torch.get_num_threads()),
    }
    if baseline is not None:
        result["baseline"] = {
            "model_id": baseline.model_id,
            "validation_accuracy": baseline.validation.accuracy,
            "test_accuracy": baseline.test.accuracy,
            "problems": saved.summary["accuracy_drop"]["baseline_problems"],
        }
    return result


def _summarize(
    *,
    info: CheckpointInfo,
    metrics: Metrics,
    baseline: StoredBaseline | None,
    before: Mapping[str, Any] | None,
    sizes: Mapping[str, int],
    reference_bytes: int,
    zeros: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
    bit_widths: Mapping[str, int],
    macs: Mapping[str, int],
) -> dict[str, Any]:
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    drop = origin = intervals = None
    if baseline is not None and before is not None:
        # Ratios are against the first model of the lineage; so the drop from there stands beside the job's own.
        origin = baseline.origin or {"model_id": baseline.model_id, "test_accuracy": baseline.test.accuracy}
        drop = {
            "validation": compute_drop(baseline.validation, metrics.validation),
            "test": compute_drop(baseline.test, metrics.test),
            "test_from_origin": 100 * (origin["test_accuracy"] - metrics.test.accuracy),
            "baseline_model_id": baseline.model_id,
            "baseline_problems": list_problems(before, baseline.data.validation.labels.bincount().tolist()),
        }
        intervals = describe_drop_intervals(before, metrics)
    return {
        "architecture": info.architecture,
        "widths": list(info.widths),
        "dataset": info.dataset,
        "split_seed": info.split_seed,
        "class_names": list(info.class_names),
        "input_shape": list(info.input_shape),
        "evaluation": metrics.to_json(),
        "correctness": {split: one.to_json() for split, one in metrics.correctness.items()},
        "health": metrics.health.to_json(),
        "accuracy_drop": drop,
        "accuracy_drop_interval": intervals,
        "origin": origin,
        "sparsity": {
            "total": sum(zeros.values()) / sum(counts.values()),
            "layers": [
                {"name": name, "zeros": zeros[name], "total": total, "sparsity": zeros[name] / total}
                for name, total in counts.items()
            ],
        },
        "size": build_ledger(sizes, reference_bytes),
        "layers": _describe_layers(shapes, bit_widths, macs),
        "macs": sum(macs.values()),
    }


def _describe_layers(
    shapes: Mapping[str, tuple[int, ...]], bit_widths: Mapping[str, int], macs: Mapping[str, int]
) -> list[dict[str, Any]]:
    last = list(shapes)[-1]
    return [
        {
            "name": name,
            "type": "conv2d" if len(shape) == 4 else "linear",
            "shape": list(shape),
            "parameters": math.prod(shape),
            "macs": macs[name],
            "bit_width": bit_widths[name],
            "prunable": bit_widths[name] == FLOAT_BITS,
            "quantizable": bit_widths[name] == FLOAT_BITS,
            "reason": (
                "quantized already"
                if bit_widths[name] != FLOAT_BITS
                else "its channels are the classes: only single weights can be pruned"
                if name == last
                else None
            ),
        }
        for name, shape in shapes.items()
    ]


def _register(
    context: Workspace,
    name: str,
    path: Path,
    file_format: str,
    info: CheckpointInfo,
    baseline: StoredBaseline | None,
    metrics: Metrics,
    summary: Mapping[str, Any],
) -> SavedModel:
    warn_of_health(context, name, summary["health"], info.class_names, summary["accuracy_drop"])
    record = ModelRecord(
        name=name,
        architecture=info.architecture,
        dataset=info.dataset,
        parent_model_id=None if baseline is None else baseline.model_id,
        files={file_format: path.name},
        summary=ModelSummary.model_validate(summary).to_json(),
    )
    return SavedModel(context.save_model(record), metrics, summary, path.stat().st_size)
