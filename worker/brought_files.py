"""Files of models that somebody brings: what each is, by its head and by what was told beside it.

Torch-free: the API refuses by it at once, and the job that reads the weights goes by the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from storage.errors import InvalidModel
from worker.catalog import Architecture, DatasetFacts, DatasetName
from worker.checkpoint_facts import (
    MAX_CLASSES,
    CheckpointInfo,
    Declaration,
    check_facts,
    describe_facts,
    describe_model,
)
from worker.dataset_facts import ClassMatch, check_dataset, find_datasets
from worker.dataset_refs import Describe, get_facts, is_stored
from worker.model_heads import (
    CheckpointHeader,
    SafetensorsHead,
    check_tensors,
    check_tonok_file,
    is_tonok,
    parse_checkpoint,
    read_safetensors_head,
    read_state_outlines,
)
from worker.network.architectures import WIDTH_READERS
from worker.network.importers.file_kind import HEAD_BYTES, FileKind, identify_file
from worker.network.importers.onnx_file import read_onnx_stream
from worker.network.operations.base import InvalidNetwork, Shape
from worker.network.picture_readers import follow_picture
from worker.network.record import Network
from worker.network.retarget import find_last_layer
from worker.network.torchvision_records import PREFIX, map_state, match_torchvision
from worker.network_names import NETWORK_NAMES, is_built_in
from worker.normalization import merge_channels

ONNX_ORIGIN = "onnx"
"""In place of an architecture's name."""
WAY_OUT = (
    "to fine-tune it to other classes or pictures, import it with measure=false and name it as `initial_model_id` of a "
    "training"
)
_TORCHVISION_SIDE = 224
"""Of the pictures that torchvision's own weights were trained on."""


class ModelFormat(StrEnum):
    """What a file is, as an import's result names it."""

    COMPRESSED = "compressed"
    CHECKPOINT = "checkpoint"
    STATE_DICT = "state_dict"
    ONNX = "onnx"


SELF_DESCRIBED = (ModelFormat.COMPRESSED, ModelFormat.CHECKPOINT)
"""Made by Tonok: the file says all about itself."""


@dataclass(frozen=True)
class GivenFacts:
    """What is told beside a file that does not say it of itself. None: the data set's; dataset: what has the classes.

    architecture: of a plain state dict. measure: whether there is a data set at all. input_size: without one, the side
    of the square pictures that the network of a plain state dict reads.
    """

    dataset: str | None = None
    architecture: str | None = None
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    measure: bool = True
    input_size: int | None = None


@dataclass(frozen=True)
class ModelOutline:
    """What a file's head tells of the work that it makes. network: None where only a worker can read it; pictures:
    None where it is not measured.
    """

    network: Network | None
    pictures: DatasetFacts | None


@dataclass(frozen=True)
class BroughtFile:
    """A file's format, and of safetensors its head."""

    format: ModelFormat
    head: SafetensorsHead | None = None


def identify_model_file(stream: BinaryIO) -> BroughtFile:
    """Finds what a file is. Raises InvalidModel for what is never opened, and for a damaged head."""
    if is_tonok(stream):
        return BroughtFile(ModelFormat.COMPRESSED)
    stream.seek(0)
    try:
        kind = identify_file(stream.read(HEAD_BYTES))
    except InvalidNetwork as error:
        raise InvalidModel(str(error)) from None
    if kind is FileKind.ONNX:
        return BroughtFile(ModelFormat.ONNX)
    head = read_safetensors_head(stream)
    return BroughtFile(ModelFormat.STATE_DICT if head.facts is None else ModelFormat.CHECKPOINT, head)


def check_model_file(stream: BinaryIO, given: GivenFacts, describe: Describe) -> ModelOutline:
    """Holds all that a file tells without its weights being read against what was told beside it.

    describe: finds the data sets that somebody brought. Raises InvalidModel, which names the field.
    """
    found = identify_model_file(stream)
    if found.format not in SELF_DESCRIBED:
        info = describe_brought_file(stream, found, given, describe)
        return ModelOutline(describe_facts(info), None if info.dataset is None else get_facts(info.dataset, describe))
    for field in ("architecture", "class_names", "mean", "std", "input_size"):
        if getattr(given, field) is not None:
            raise InvalidModel(f"{field}: the file says this itself: leave it out", field=field)
    _check_measuring(given)
    if found.head is None:
        check_tonok_file(stream)
        return ModelOutline(None, None)
    header = parse_checkpoint(found.head)
    info = header.declaration.info
    facts = None
    if given.measure:
        name = choose_measured(given.dataset, info.dataset, info.class_names, info.input_shape)
        facts = get_facts(name, describe)
        check_measured(facts, name, info.input_shape, info.class_names)
    check_tensors(header)
    return ModelOutline(describe_facts(info), facts)


def _check_measuring(given: GivenFacts) -> None:
    if not given.measure and given.dataset is not None:
        raise InvalidModel("with measure=false it is measured on no data set: leave it out", field="dataset")


def choose_measured(
    asked: str | None, declared: str | None, class_names: Sequence[str], input_shape: tuple[int, int, int] | None
) -> str:
    """What to measure a network on: what was asked for, else what its file names, else the one data set that has its
    classes, and pictures of its shape where that is known.

    Raises InvalidModel, which says what else can be done.
    """
    name = asked or declared
    if name is None:
        found = find_datasets(class_names, input_shape)
        if len(found) == 1:
            return found[0]
        problem = f"{', '.join(found)} have its classes" if found else "no data set here has its classes"
    elif is_stored(name) or name in list(DatasetName):
        return name
    else:
        problem = "the data set that it was trained on is not here"
    raise _say_way_out(InvalidModel(f"{problem}; name the one to measure on", field="dataset"))


def check_measured(
    facts: DatasetFacts, name: str, input_shape: tuple[int, int, int], class_names: Sequence[str]
) -> ClassMatch:
    """Finds the classes by `check_dataset`; likewise."""
    try:
        return check_dataset(facts, name, input_shape, class_names)
    except InvalidModel as error:
        raise _say_way_out(error) from None


def _say_way_out(error: InvalidModel) -> InvalidModel:
    return InvalidModel(f"{error.detail}; {WAY_OUT}", field=error.field)


def describe_brought_file(
    stream: BinaryIO, found: BroughtFile, given: GivenFacts, describe: Describe
) -> CheckpointInfo:
    """The facts of an ONNX file or a plain state dict, held against the data set that it is to be measured on, if any.

    Where mean and std were not told they stand as 0 and 1: those of the data set are known once it is loaded. Raises
    InvalidModel, which names the field.
    """
    _check_measuring(given)
    if found.head is None:
        shape = _describe_onnx(stream, given)
        dataset, facts = _choose_pictures(given, shape.input_shape, describe)
    else:
        dataset, facts = _choose_pictures(given, None, describe)
        try:
            shape = _describe_state(found.head, given, facts)
        except InvalidNetwork as error:
            raise InvalidModel(str(error), field="tensors") from None
    class_names = given.class_names or _name_classes(shape.num_classes, facts, dataset)
    info = CheckpointInfo(
        architecture=shape.architecture,
        widths=shape.widths,
        input_shape=shape.input_shape,
        class_names=class_names,
        mean=given.mean or (0.0,),
        std=given.std or (1.0,),
        dataset=dataset,
        split_seed=0,
        network=shape.network,
    )
    check_facts(info)
    _check_deviations(info, given, describe)
    if facts is not None and dataset is not None:
        check_measured(facts, dataset, info.input_shape, info.class_names)
    if found.head is not None and shape.network is None:
        outlines = read_state_outlines(found.head)
        kept = {name: outlines[place] for name, place in map_state(outlines).items()}
        check_tensors(CheckpointHeader(Declaration(info, ()), kept))
    return info


def _check_deviations(info: CheckpointInfo, given: GivenFacts, describe: Describe) -> None:
    """Refuses what cannot be kept for one deviation of all channels. Those of a data set in colour differ."""
    std = given.std
    if std is None and info.dataset is not None and is_stored(info.dataset):
        std = tuple(describe(info.dataset)["std"])
    may_differ = info.input_shape[0] > 1 if std is None else len(merge_channels(std)) > 1
    if info.network is not None and may_differ:
        try:
            follow_picture(info.network)
        except InvalidNetwork as error:
            raise InvalidModel(f"{error}; name a single std if the network was trained with one", field="std") from None


def _choose_pictures(
    given: GivenFacts, input_shape: tuple[int, int, int] | None, describe: Describe
) -> tuple[str | None, DatasetFacts | None]:
    """The data set that it is measured on and its facts; None where it is measured on none."""
    if not given.measure:
        _check_normalisation(given)
        return None, None
    dataset = choose_measured(given.dataset, None, given.class_names or (), input_shape)
    return dataset, get_facts(dataset, describe)


def _check_normalisation(given: GivenFacts) -> None:
    for field in ("mean", "std"):
        if getattr(given, field) is None:
            raise InvalidModel(
                "the file does not say how its network reads a picture, and there is no data set to take it from: name "
                "mean and std, of torchvision's own weights 0.485,0.456,0.406 and 0.229,0.224,0.225",
                field=field,
            )


def _name_classes(num_classes: int, facts: DatasetFacts | None, dataset: str | None) -> tuple[str, ...]:
    """Names for classes that nobody named: the data set's, or else a number each.

    "class 7" and not "7": digits are called so, and a training on them would take the classes for its own.
    """
    if facts is None:
        return tuple(f"class {number}" for number in range(min(num_classes, MAX_CLASSES + 1)))
    if num_classes != len(facts.class_names):
        raise InvalidModel(
            f"the network tells {num_classes} classes apart, {dataset} has {len(facts.class_names)}; {WAY_OUT}",
            field="class_names",
        )
    return facts.class_names


@dataclass(frozen=True)
class _BroughtShape:
    """A network without its weights. network: the record where it is none of ours, whose widths say what it is."""

    architecture: str
    input_shape: tuple[int, int, int]
    num_classes: int
    network: Network | None = None
    widths: tuple[int, ...] = ()

    @classmethod
    def read(cls, network: Network, architecture: str) -> _BroughtShape:
        """Reads it off a record."""
        return cls(architecture, network.input_shape, network.num_classes, network)


def _describe_onnx(stream: BinaryIO, given: GivenFacts) -> _BroughtShape:
    """The network of an ONNX file."""
    try:
        shape = _BroughtShape.read(read_onnx_stream(stream).network, ONNX_ORIGIN)
    except InvalidNetwork as error:
        raise InvalidModel(f"read as an ONNX file: {error}") from None
    for field in ("architecture", "input_size"):
        if getattr(given, field) is not None:
            raise InvalidModel("an ONNX file says itself which network it holds: leave it out", field=field)
    return shape


def _describe_state(head: SafetensorsHead, given: GivenFacts, facts: DatasetFacts | None) -> _BroughtShape:
    """The network of a plain state dict, for the pictures of a data set or of the size that was told."""
    architecture = given.architecture
    if architecture is None:
        raise InvalidModel(
            "a plain state dict does not say which network it is of: name its architecture, one of "
            f"{', '.join(Architecture)}, or {PREFIX}NAME",
            field="architecture",
        )
    if architecture not in NETWORK_NAMES:
        raise InvalidModel(f"there is no architecture {architecture!r:.60}", field="architecture")
    if facts is not None and given.input_size is not None:
        raise InvalidModel("the data set says how large its pictures are: leave it out", field="input_size")
    outlines = read_state_outlines(head)
    shapes = {name: outline.shape for name, outline in outlines.items()}
    if not is_built_in(architecture):
        side = given.input_size or _TORCHVISION_SIDE
        height, width = (side, side) if facts is None else facts.input_shape[1:]
        network = match_torchvision(architecture.removeprefix(PREFIX), shapes, (height, width))
        return _BroughtShape.read(network, architecture)
    shapes = {name: shapes[place] for name, place in map_state(shapes).items()}
    widths = _read_widths(architecture, shapes)
    if facts is not None:
        return _BroughtShape(architecture, facts.input_shape, len(facts.class_names), widths=widths)
    if given.input_size is None:
        raise InvalidModel(
            f"a state dict of {architecture} does not say how large its pictures are: name the side of a square one",
            field="input_size",
        )
    return _fit_built_in(architecture, widths, given.input_size, shapes)


def _fit_built_in(architecture: str, widths: tuple[int, ...], side: int, shapes: Mapping[str, Shape]) -> _BroughtShape:
    """One of ours with as many channels and classes as its tensors have; whether the others fit is not asked here."""
    colour, gray = (
        describe_model(architecture, widths, input_shape=(channels, side, side), num_classes=1) for channels in (3, 1)
    )
    first = next(iter(colour.tensors))
    network = colour if shapes.get(first) == colour.tensors[first] else gray
    last = f"{network.nodes[find_last_layer(network)].name}.weight"
    if not shapes.get(last):
        raise InvalidModel(f"tensor {last} is missing: {architecture} has it", field="tensors")
    return _BroughtShape(architecture, network.input_shape, shapes[last][0], widths=widths)


def _read_widths(architecture: str, shapes: Mapping[str, Shape]) -> tuple[int, ...]:
    """The hidden widths that a state dict of ours has."""
    # safetensors sorts by the letters of a name; the hidden layers of `mlp` are numbered.
    names = sorted((name for name in shapes if name.endswith(".weight") and shapes[name]), key=_number_parts)
    layers = {name.removesuffix(".weight"): shapes[name][0] for name in names}
    try:
        return WIDTH_READERS[architecture](layers)
    except KeyError as error:
        raise InvalidModel(
            f"tensor {error.args[0]}.weight is missing: {architecture} has it", field="tensors"
        ) from None


def _number_parts(name: str) -> list[tuple[int, str]]:
    parts = name.split(".")
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in parts]
