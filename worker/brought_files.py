"""Files of models that somebody brings: what each is, by its head and by what was told beside it.

Torch-free: the API refuses by it at once, and the job that reads the weights goes by the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.checkpoint_facts import CheckpointInfo, Declaration, check_facts
from worker.dataset_facts import check_dataset, choose_dataset
from worker.dataset_refs import Describe, get_facts
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
from worker.network.record import Network
from worker.network.torchvision_records import PREFIX, map_state, match_torchvision
from worker.network_names import NETWORK_NAMES, is_built_in

ONNX_ORIGIN = "onnx"
"""In place of an architecture's name."""


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

    architecture: of a plain state dict.
    """

    dataset: str | None = None
    architecture: str | None = None
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


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


def check_model_file(stream: BinaryIO, given: GivenFacts, describe: Describe) -> None:
    """Holds all that a file tells without its weights being read against what was told beside it.

    describe: finds the data sets that somebody brought. Raises InvalidModel, which names the field.
    """
    found = identify_model_file(stream)
    if found.format not in SELF_DESCRIBED:
        describe_brought_file(stream, found, given, describe)
        return
    for field in ("architecture", "class_names", "mean", "std"):
        if getattr(given, field) is not None:
            raise InvalidModel(f"{field}: the file says this itself: leave it out", field=field)
    if found.head is None:
        check_tonok_file(stream)
        return
    header = parse_checkpoint(found.head)
    info = header.declaration.info
    name = choose_dataset(given.dataset, info.dataset, info.class_names)
    check_dataset(get_facts(name, describe), name, info.input_shape, info.class_names)
    check_tensors(header)


def describe_brought_file(
    stream: BinaryIO, found: BroughtFile, given: GivenFacts, describe: Describe
) -> CheckpointInfo:
    """The facts of an ONNX file or a plain state dict, held against the data set that it is to be measured on.

    Where mean and std were not told they stand as 0 and 1: those of the data set are known once it is loaded. Raises
    InvalidModel, which names the field.
    """
    dataset = choose_dataset(given.dataset, None, given.class_names or ())
    facts = get_facts(dataset, describe)
    class_names = given.class_names or facts.class_names
    network: Network | None
    widths: tuple[int, ...] = ()
    try:
        if found.head is None:
            if given.architecture is not None:
                raise InvalidModel(
                    "an ONNX file says itself which network it holds: leave it out", field="architecture"
                )
            network, architecture = read_onnx_stream(stream).network, ONNX_ORIGIN
        else:
            network, architecture, widths = _describe_state(found.head, given.architecture, facts.input_shape)
    except InvalidNetwork as error:
        raise _explain(error, found) from None
    info = CheckpointInfo(
        architecture=architecture,
        widths=widths,
        input_shape=facts.input_shape if network is None else network.input_shape,
        class_names=class_names,
        mean=given.mean or (0.0,),
        std=given.std or (1.0,),
        dataset=dataset,
        split_seed=0,
        network=network,
    )
    check_facts(info)
    check_dataset(facts, dataset, info.input_shape, info.class_names)
    if found.head is not None and network is None:
        outlines = read_state_outlines(found.head)
        kept = {name: outlines[place] for name, place in map_state(outlines).items()}
        check_tensors(CheckpointHeader(Declaration(info, ()), kept))
    return info


def _explain(error: InvalidNetwork, found: BroughtFile) -> InvalidModel:
    if found.head is None:
        return InvalidModel(f"read as an ONNX file: {error}")
    return InvalidModel(str(error), field="tensors")


def _describe_state(
    head: SafetensorsHead, architecture: str | None, input_shape: tuple[int, int, int]
) -> tuple[Network | None, str, tuple[int, ...]]:
    """The record of torchvision's network, or the widths of ours; its name between them."""
    if architecture is None:
        raise InvalidModel(
            "a plain state dict does not say which network it is of: name its architecture, one of "
            f"{', '.join(Architecture)}, or {PREFIX}NAME",
            field="architecture",
        )
    if architecture not in NETWORK_NAMES:
        raise InvalidModel(f"there is no architecture {architecture!r:.60}", field="architecture")
    outlines = read_state_outlines(head)
    shapes = {name: outline.shape for name, outline in outlines.items()}
    if not is_built_in(architecture):
        _, height, width = input_shape
        return match_torchvision(architecture.removeprefix(PREFIX), shapes, (height, width)), architecture, ()
    return (
        None,
        architecture,
        _read_widths(architecture, {name: shapes[place] for name, place in map_state(shapes).items()}),
    )


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
