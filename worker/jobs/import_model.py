"""Bring a model of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from worker.brought_files import (
    BroughtFile,
    GivenFacts,
    ModelFormat,
    describe_brought_file,
    identify_model_file,
)
from worker.catalog import ArtifactKind
from worker.checkpoint_facts import CheckpointInfo
from worker.dataset_facts import NameMatch, check_dataset, choose_dataset
from worker.dataset_refs import DatasetRef, get_facts
from worker.job_spec import JobContext, JobOutcome, UploadSpec
from worker.normalization import merge_channels
from worker.progress import Progress
from worker.results.import_model import ImportResult

_UNKNOWN_PICTURES = (
    "the file does not say which pictures it was trained on: some of the validation split may be among them"
)
_NOTHING_SAID = {"dataset": None, "split_seed": None, "num_train_examples": None, "num_unknown_facts": 0}

if TYPE_CHECKING:
    from torch import nn

    from worker.core.datasets import Dataset
    from worker.core.measured_model import MeasuredModel


class ImportSpec(UploadSpec):
    """Reads a `.tonok` file, a safetensors checkpoint, a plain state dict or an ONNX file, and measures it like any
    other model.
    """

    version: ClassVar[int] = 4
    is_light: ClassVar[bool] = True

    kind: Literal["import"] = "import"
    dataset: DatasetRef | None = Field(
        None,
        description="What to measure it on; by default what it was trained on, or what has its classes.",
    )
    architecture: str | None = Field(None, description="Of a plain state dict, which does not say it.")
    class_names: tuple[str, ...] | None = Field(
        None, description="In the order of the network's outputs, where its file names none; by default the data set's."
    )
    mean: tuple[float, ...] | None = Field(
        None, description="A pixel p enters as (p / 255 - mean) / std; one number, or one for each channel."
    )
    std: tuple[float, ...] | None = Field(None, description="See `mean`; both are the data set's by default.")

    @property
    def given(self) -> GivenFacts:
        """What was told beside the file."""
        return GivenFacts(self.dataset, self.architecture, self.class_names, self.mean, self.std)


def run(spec: ImportSpec, context: JobContext) -> JobOutcome:
    """Loads the file, holds what it says of itself against the data set, and stores it anew."""
    from worker.model_files import publish

    path = context.upload_file()
    context.report(Progress(phase="reading", percent=0))
    with path.open("rb") as stream:
        found = identify_model_file(stream)
    if found.format is ModelFormat.COMPRESSED:
        measured, origin = _import_compressed(spec, context, path)
    elif found.format is ModelFormat.CHECKPOINT:
        measured, origin = _import_checkpoint(spec, context, path)
    else:
        measured, origin = _import_brought(spec, context, path, found)
    measured.check_answers()
    model_id = publish(context, measured, spec.name)
    result = measured.fields | {"model_id": model_id, "imported_from": origin}
    return JobOutcome(ImportResult.model_validate(result).to_json(), model_id)


def _import_checkpoint(spec: ImportSpec, context: JobContext, path: Path) -> tuple[MeasuredModel, dict[str, Any]]:
    """The model as it was stored; what its file said, and what was made of that, as JSON."""
    from worker.core.checkpoint import load_checkpoint, read_header
    from worker.core.measured_model import store_float_model

    header = read_header(path)
    model, info = load_checkpoint(path)
    placed, data, origin = _place(spec, context, info)
    if header.dtypes != ("F32",):
        context.warn(f"the file's weights are {' and '.join(header.dtypes)}: they are stored as 32-bit floats")
    if unknown := header.declaration.unknown:
        context.warn(
            f"the file says {len(unknown)} things of itself that this version does not know: they are not kept"
        )
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(stored, model, placed.architecture, data)
    origin |= {
        "format": ModelFormat.CHECKPOINT,
        "weight_types": list(header.dtypes),
        "dataset": info.dataset,
        "split_seed": info.split_seed,
        "num_train_examples": info.num_train_examples,
        "num_unknown_facts": len(unknown),
    }
    return measured, origin


def _import_compressed(spec: ImportSpec, context: JobContext, path: Path) -> tuple[MeasuredModel, dict[str, Any]]:
    from worker.coding import encode_network
    from worker.core.checkpoint import load_compressed, save_checkpoint
    from worker.core.measured_model import Source, store_compressed_file
    from worker.core.models import rebuild_model

    _, network = load_compressed(path)
    info = CheckpointInfo(
        architecture=network.architecture,
        widths=network.widths,
        input_shape=network.input_shape,
        class_names=network.class_names,
        mean=network.mean,
        std=network.std,
        dataset=choose_dataset(spec.dataset, None, network.class_names),
        split_seed=0,
        network=network.network,
        resize=network.resize,
    )
    info, data, origin = _place(spec, context, info)
    context.warn(_UNKNOWN_PICTURES)
    # What ratios are against: the same network as a plain checkpoint.
    twin = rebuild_model(info)
    reference_bytes = save_checkpoint(context.scratch / "reference.safetensors", twin, info)
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.tonok", ArtifactKind.COMPRESSED)
    measured = store_compressed_file(
        stored, encode_network(replace(network, resize=data.resize)), Source(info, data, reference_bytes)
    )
    origin |= {
        "format": ModelFormat.COMPRESSED,
        "weight_types": [],
        **_NOTHING_SAID,
    }
    return measured, origin


def _import_brought(
    spec: ImportSpec, context: JobContext, path: Path, found: BroughtFile
) -> tuple[MeasuredModel, dict[str, Any]]:
    """An ONNX file or a plain state dict: what neither says was told beside it, or is the data set's."""
    from worker.core.lineage import load_described_data
    from worker.core.measured_model import store_float_model
    from worker.core.models import rebuild_model
    from worker.importing.deviations import unify_deviations
    from worker.importing.loading import load_arrays, place_arrays_

    with path.open("rb") as stream:
        info = describe_brought_file(stream, found, spec.given, context.dataset_summary)
    arrays = load_arrays(path, found.format, info)
    for note in arrays.notes:
        context.warn(note)
    info, data = load_described_data(info, spec.mean, spec.std, context.datasets)
    if spec.mean is None or spec.std is None:
        context.warn(
            f"the file does not say how its network reads a picture: those of {info.dataset} are taken for what was "
            "not told of `mean` and `std`"
        )
    context.warn(_UNKNOWN_PICTURES)
    match = check_dataset(
        get_facts(info.dataset, context.dataset_summary), info.dataset, info.input_shape, info.class_names
    )
    _warn_of_classes(context, match.how, info.dataset)
    model: nn.Module = rebuild_model(info)
    place_arrays_(model, arrays.values)
    if len(merge_channels(info.std)) > 1:
        model, std = unify_deviations(model, info.mean, info.std)
        data = replace(data, std=std)
        context.warn(
            "the channels have deviations of their own: the network is kept for one, and the weights of what reads the "
            "picture take the difference"
        )
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(stored, model, info.architecture, data)
    return measured, {
        "class_match": str(match.how),
        "format": found.format,
        "weight_types": list(arrays.dtypes),
        **_NOTHING_SAID,
    }


def _place(
    spec: ImportSpec, context: JobContext, info: CheckpointInfo
) -> tuple[CheckpointInfo, Dataset, dict[str, Any]]:
    """The facts with the data set that the network is measured on, that data set as the network reads and names it,
    and how its classes were found there. Warns of whatever does not stay as the file says.
    """
    from worker.core.lineage import load_lineage_data

    name = choose_dataset(spec.dataset, info.dataset, info.class_names)
    facts = get_facts(name, context.dataset_summary)
    match = check_dataset(facts, name, info.input_shape, info.class_names)
    if name != info.dataset:
        context.warn(
            f"the file says that it was trained on another data set than {name}, which it is measured on: which "
            "pictures it has seen is not known, and later jobs train on all of the training split"
        )
        info = replace(info, dataset=name, num_train_examples=None)
    _warn_of_classes(context, match.how, name)
    data = load_lineage_data(info, context.datasets)
    if info.num_train_examples is not None and info.num_train_examples > len(data.train):
        context.warn(
            f"the file says that it was trained on more pictures than the {len(data.train)} of the training split: "
            "some of the validation split may be among them"
        )
    return info, data, {"class_match": str(match.how)}


def _warn_of_classes(context: JobContext, how: NameMatch, name: str) -> None:
    if how is NameMatch.BY_POSITION:
        context.warn(
            f"none of the network's class names is one of {name}: they are kept, and its classes are taken for those "
            f"of {name} by their order alone"
        )
    if how is NameMatch.PERMUTED:
        context.warn(f"the network's classes are those of {name} in another order: they are kept in the network's")
