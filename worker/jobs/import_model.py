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
    check_measured,
    choose_measured,
    describe_brought_file,
    identify_model_file,
)
from worker.catalog import ArtifactKind
from worker.checkpoint_facts import CheckpointInfo
from worker.dataset_facts import NameMatch, find_datasets
from worker.dataset_refs import DatasetRef, get_facts
from worker.job_spec import JobContext, JobOutcome, UploadSpec
from worker.progress import Progress
from worker.results.import_model import ImportResult

_UNKNOWN_PICTURES = (
    "the file does not say which pictures it was trained on: some of the validation split may be among them"
)

if TYPE_CHECKING:
    from worker.core.measured_model import MeasuredModel
    from worker.core.stored_model import StoredModel
    from worker.datasets import Dataset


class ImportSpec(UploadSpec):
    """Reads a `.tonok` file, a safetensors checkpoint, a plain state dict or an ONNX file, and measures it like any
    other model; or stores it unmeasured, to be fine-tuned.
    """

    version: ClassVar[int] = 5
    is_light: ClassVar[bool] = True

    kind: Literal["import"] = "import"
    dataset: DatasetRef | None = Field(
        None,
        description="What to measure it on; by default what it was trained on, or what has its classes and shape.",
    )
    architecture: str | None = Field(None, description="Of a plain state dict, which does not say it.")
    class_names: tuple[str, ...] | None = Field(
        None, description="In the order of the network's outputs, where its file names none; by default the data set's."
    )
    mean: tuple[float, ...] | None = Field(
        None, description="A pixel p enters as (p / 255 - mean) / std; one number, or one for each channel."
    )
    std: tuple[float, ...] | None = Field(None, description="See `mean`; both are the data set's by default.")
    measure: bool = Field(
        True, description="Whether it is measured on a data set; else it can be fine-tuned and asked, not compressed."
    )
    input_size: int | None = Field(
        None, description="Of a plain state dict that is not measured: side of the square pictures that it reads."
    )

    @property
    def given(self) -> GivenFacts:
        """What was told beside the file."""
        return GivenFacts(
            dataset=self.dataset,
            architecture=self.architecture,
            class_names=self.class_names,
            mean=self.mean,
            std=self.std,
            measure=self.measure,
            input_size=self.input_size,
        )


def run(spec: ImportSpec, context: JobContext) -> JobOutcome:
    """Loads the file, holds what it says of itself against the data set, and stores it anew."""
    from worker.model_files import publish

    path = context.upload_file()
    context.report(Progress(phase="reading", percent=0))
    with path.open("rb") as stream:
        found = identify_model_file(stream)
    stored: StoredModel
    if spec.measure:
        stored, origin = _import_measured(spec, context, path, found)
    else:
        stored, origin = _import_unmeasured(spec, context, path, found)
    model_id = publish(context, stored, spec.name)
    result = stored.fields | {"model_id": model_id, "imported_from": origin}
    return JobOutcome(ImportResult.model_validate(result).to_json(), model_id)


def _import_measured(
    spec: ImportSpec, context: JobContext, path: Path, found: BroughtFile
) -> tuple[MeasuredModel, dict[str, Any]]:
    """The model as it was stored; what its file said, and what was made of that, as JSON."""
    if found.format is ModelFormat.COMPRESSED:
        measured, origin = _import_compressed(spec, context, path)
    elif found.format is ModelFormat.CHECKPOINT:
        measured, origin = _import_checkpoint(spec, context, path)
    else:
        measured, origin = _import_brought(spec, context, path, found)
    measured.check_answers()
    return measured, origin


def _import_checkpoint(spec: ImportSpec, context: JobContext, path: Path) -> tuple[MeasuredModel, dict[str, Any]]:
    from worker.core.measured_model import store_float_model
    from worker.importing.reading import read_checkpoint

    model, info, origin = read_checkpoint(path, context)
    placed, data, match = _place(spec, context, info)
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.safetensors", ArtifactKind.CHECKPOINT)
    return store_float_model(stored, model, placed.architecture, data), origin | match


def _import_compressed(spec: ImportSpec, context: JobContext, path: Path) -> tuple[MeasuredModel, dict[str, Any]]:
    from worker.coding import encode_network
    from worker.core.checkpoint import count_checkpoint_bytes
    from worker.core.measured_model import Source, store_compressed_file
    from worker.importing.reading import read_compressed

    network, said, origin = read_compressed(path)
    dataset = _choose_for_compressed(spec, context, said)
    info, data, match = _place(spec, context, replace(said, dataset=dataset))
    context.warn(_UNKNOWN_PICTURES)
    # What ratios are against: the same network as a plain checkpoint.
    reference_bytes = count_checkpoint_bytes(info, info.widths)
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.tonok", ArtifactKind.COMPRESSED)
    file = encode_network(replace(network, resize=data.resize))
    measured = store_compressed_file(stored, file, Source(info, data, reference_bytes))
    return measured, origin | match


def _choose_for_compressed(spec: ImportSpec, context: JobContext, said: CheckpointInfo) -> str:
    """The data set to measure on. Where several have its classes the first one, with a warning: the API cannot ask.

    What a compressed file says of itself is coded, so that nobody could be told at once to name one.
    """
    if spec.dataset is None and len(found := find_datasets(said.class_names, said.input_shape)) > 1:
        context.warn(f"{', '.join(found)} have its classes: it is measured on {found[0]}; name another as `dataset`")
        return found[0]
    return choose_measured(spec.dataset, None, said.class_names, said.input_shape)


def _import_brought(
    spec: ImportSpec, context: JobContext, path: Path, found: BroughtFile
) -> tuple[MeasuredModel, dict[str, Any]]:
    """An ONNX file or a plain state dict: what neither says was told beside it, or is the data set's."""
    from worker.core.lineage import load_described_data
    from worker.core.measured_model import store_float_model
    from worker.importing.reading import read_weights

    with path.open("rb") as stream:
        info = describe_brought_file(stream, found, spec.given, context.dataset_summary)
    info, data = load_described_data(info, spec.mean, spec.std, context.datasets)
    if spec.mean is None or spec.std is None:
        context.warn(
            f"the file does not say how its network reads a picture: those of {data.name} are taken for what was "
            "not told of `mean` and `std`"
        )
    context.warn(_UNKNOWN_PICTURES)
    facts = get_facts(data.name, context.dataset_summary)
    match = check_measured(facts, data.name, info.input_shape, info.class_names)
    _warn_of_classes(context, match.how, data.name)
    model, std, origin = read_weights(path, found, info, context)
    context.report(Progress(phase="measuring", percent=30))
    stored = context.artifact_path("imported.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(stored, model, info.architecture, replace(data, std=std))
    return measured, origin | {"class_match": str(match.how)}


def _import_unmeasured(
    spec: ImportSpec, context: JobContext, path: Path, found: BroughtFile
) -> tuple[StoredModel, dict[str, Any]]:
    """The same without a data set, so that nothing of it is placed."""
    from worker.coding import encode_network
    from worker.core.checkpoint import count_checkpoint_bytes
    from worker.importing.reading import read_checkpoint, read_compressed, read_weights
    from worker.importing.unmeasured import store_unmeasured_compressed, store_unmeasured_float

    nowhere = {"class_match": None}
    if found.format is ModelFormat.COMPRESSED:
        network, info, origin = read_compressed(path)
        reference_bytes = count_checkpoint_bytes(info, info.widths)
        stored = context.artifact_path("imported.tonok", ArtifactKind.COMPRESSED)
        return store_unmeasured_compressed(stored, encode_network(network), info, reference_bytes), origin | nowhere
    if found.format is ModelFormat.CHECKPOINT:
        model, info, origin = read_checkpoint(path, context)
        # The seed stays: it drew the pictures that the network has not seen, where it is fine-tuned to the same.
        info = replace(info, dataset=None, num_train_examples=None)
    else:
        with path.open("rb") as stream:
            info = describe_brought_file(stream, found, spec.given, context.dataset_summary)
        model, std, origin = read_weights(path, found, info, context)
        info = replace(info, std=std)
        if spec.class_names is None:
            context.warn(f"nobody named its classes: they are called {info.class_names[0]} and so on")
    stored = context.artifact_path("imported.safetensors", ArtifactKind.CHECKPOINT)
    return store_unmeasured_float(stored, model, info), origin | nowhere


def _place(
    spec: ImportSpec, context: JobContext, info: CheckpointInfo
) -> tuple[CheckpointInfo, Dataset, dict[str, Any]]:
    """The facts with the data set that the network is measured on, that data set as the network reads and names it,
    and how its classes were found there. Warns of whatever does not stay as the file says.
    """
    from worker.core.lineage import load_lineage_data

    name = choose_measured(spec.dataset, info.dataset, info.class_names, info.input_shape)
    facts = get_facts(name, context.dataset_summary)
    match = check_measured(facts, name, info.input_shape, info.class_names)
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
