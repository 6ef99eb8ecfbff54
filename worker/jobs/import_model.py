"""Bring a model of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from storage.errors import InvalidModel
from worker.catalog import DatasetName
from worker.jobs.base import JobContext, JobOutcome, Progress, UploadSpec

if TYPE_CHECKING:
    from worker.core.datasets import Dataset
    from worker.jobs.products import SavedModel


class ImportSpec(UploadSpec):
    """Reads a `.tonok` file or one of Tonok's safetensors checkpoints, and measures it like any other model."""

    kind: Literal["import"] = "import"
    dataset: DatasetName | None = Field(
        None,
        description="What to measure it on; by default what it was trained on, or what has its classes.",
    )


def run(spec: ImportSpec, context: JobContext) -> JobOutcome:
    """Loads the file, whatever it says of itself is checked, and stores it anew."""
    from worker.core.checkpoint import is_compressed
    from worker.jobs.products import describe_result, plot_results

    path = context.upload_file()
    context.report(Progress(phase="reading", percent=0))
    saved, data = (_import_compressed if is_compressed(path) else _import_checkpoint)(spec, context, path)
    plot_results(context, saved, data, "imported")
    return JobOutcome(describe_result(saved, None), saved.model_id)


def _import_checkpoint(spec: ImportSpec, context: JobContext, path: Path) -> tuple[SavedModel, Dataset]:
    from worker.core.checkpoint import load_checkpoint
    from worker.jobs.products import save_float_model

    model, info = load_checkpoint(path)
    data = _load_data(spec, context, info.dataset, info.class_names, info.input_shape, info.split_seed)
    data = replace(data.limit_train(info.num_train_examples), mean=info.mean, std=info.std)
    context.report(Progress(phase="measuring", percent=30))
    saved = save_float_model(
        context, "imported", model, info.architecture, data, None, title=spec.name, is_foreign=True
    )
    return saved, data


def _import_compressed(spec: ImportSpec, context: JobContext, path: Path) -> tuple[SavedModel, Dataset]:
    from worker.core.checkpoint import CheckpointInfo, load_compressed, save_checkpoint
    from worker.core.models import build_model
    from worker.jobs.products import Source, save_integer_model

    _, network = load_compressed(path)
    data = _load_data(spec, context, None, network.class_names, network.input_shape, split_seed=0)
    data = replace(data, mean=network.mean, std=network.std)
    context.warn(
        "the file does not say which pictures it was trained on: some of the validation split may be among them"
    )
    info = CheckpointInfo(
        architecture=network.architecture,
        widths=network.widths,
        input_shape=network.input_shape,
        class_names=network.class_names,
        mean=network.mean,
        std=network.std,
        dataset=data.name,
        split_seed=0,
    )
    # What ratios are against: the same network as a plain checkpoint.
    twin = build_model(info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names))
    reference_bytes = save_checkpoint(context.scratch / "reference.safetensors", twin, info)
    context.report(Progress(phase="measuring", percent=30))
    source = Source(info, data, reference_bytes)
    return save_integer_model(context, "imported", network, source, title=spec.name), data


def _load_data(
    spec: ImportSpec,
    context: JobContext,
    named: str | None,
    class_names: tuple[str, ...],
    input_shape: tuple[int, int, int],
    split_seed: int,
) -> Dataset:
    from worker.core.datasets import find_dataset, load_dataset

    name = spec.dataset or named or find_dataset(class_names)
    if name not in list(DatasetName):
        raise InvalidModel("no data set here has its classes; name the one to measure on", field="dataset")
    data = load_dataset(name, context.datasets.root, context.datasets.mirror, split_seed)
    if data.input_shape != input_shape or len(data.class_names) != len(class_names):
        raise InvalidModel(
            f"the network reads {'x'.join(map(str, input_shape))} pictures of {len(class_names)} classes, "
            f"{name} has {'x'.join(map(str, data.input_shape))} ones of {len(data.class_names)}",
            field="dataset",
        )
    return data
