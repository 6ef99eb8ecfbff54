"""How much memory work on a network takes, from its shapes alone: no tensor, no torch.

An estimate, not a promise: beyond the base it is right within a factor of three (docs/decisions/memory.md). What it is
for are the orders of magnitude between: a width or a batch size that no machine has the memory for.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.errors import InvalidSpec
from worker.catalog import Architecture, DatasetFacts, DatasetName, Optimizer
from worker.dataset_refs import Describe, get_facts
from worker.network.architectures import describe_network
from worker.network.operations.base import InvalidNetwork
from worker.network.record import PICTURE, Network, parse_network
from worker.network_names import describe_named

FLOAT_BYTES = 4
BASE_BYTES = 950 << 20
"""A process with its libraries, its figures and its log, whatever the network."""

EVALUATION_BATCH = 500
CALIBRATION_EXAMPLES = 1024
FISHER_BATCH = 128
REFIT_EXAMPLES = 2048
RETRAINING_BATCH = 128
"""Of every kind that starts from a stored model."""
NARROWED_SHARE = 0.4
"""`compress` rounds a network that has lost at least so many of its channels."""

_PICTURE_COPIES = 3
"""A data set as it is read, split, and on the device."""
_ENCODED_BYTES = 120
"""For each weight that is coded one decision at a time: Python's lists, and what is learnt of rows and columns."""
_MOST_DECISIONS = 1 << 20
"""Larger layers are coded in blocks."""


class Part(StrEnum):
    """What the memory is for."""

    PICTURES = "pictures"
    WEIGHTS = "weights"
    BATCHES = "batches"


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak; parts: without those that every job needs."""

    parts: dict[Part, int]
    base_bytes: int = BASE_BYTES

    @property
    def num_bytes(self) -> int:
        """All of them."""
        return self.base_bytes + sum(self.parts.values())

    @property
    def dominant(self) -> Part:
        """What takes the most."""
        return max(self.parts, key=lambda part: self.parts[part])


def find_shape_field(estimate: MemoryEstimate, *, has_widths: bool) -> str:
    """The field of a spec with a shape of its own that most of its memory goes back to."""
    return "dataset" if estimate.dominant is Part.PICTURES else "widths" if has_widths else "architecture"


@dataclass(frozen=True)
class LayerShape:
    """A convolution or linear layer: its weights, and values per picture. outputs: that it computes; kept: that it and
    what follows it keep for the way back; patch: weights of one output, at `places` places; pixels: of a picture that
    its network is given.
    """

    weights: int
    outputs: int
    kept: int
    patch: int
    places: int
    pixels: int


def describe_for_pictures(name: str, widths: tuple[int, ...] | None, facts: DatasetFacts) -> Network:
    """The network of that name for the pictures of a data set. Raises InvalidSpec where they are too small for it,
    which of the catalogue's is told before.
    """
    try:
        return describe_named(name, widths, facts.input_shape, len(facts.class_names))
    except InvalidNetwork as error:
        raise InvalidSpec(f"architecture: for these pictures {error}", field="/architecture") from None


def outline_layers(network: Network) -> list[LayerShape]:
    """The convolutions and linear layers of a network, in their order."""
    kept, macs, sizes = count_kept(network), network.macs, network.activation_sizes
    numbers = [number for number, node in enumerate(network.nodes) if node.name in macs]
    layers = []
    for number, following in itertools.pairwise([*numbers, len(network.nodes)]):
        node = network.nodes[number]
        num_outputs, *patch = node.operation.list_tensors(network.list_inputs(node))["weight"]
        outputs = sizes[number]
        layers.append(
            LayerShape(
                weights=num_outputs * math.prod(patch),
                outputs=outputs,
                kept=sum(kept[number:following]),
                patch=math.prod(patch),
                places=outputs // num_outputs,
                pixels=math.prod(network.input_shape),
            )
        )
    return layers


def count_kept(network: Network) -> list[int]:
    """Values of a picture that each node keeps for the way back; an output that several read is kept once."""
    sources = list[int]()
    kept_outputs = {network.output}
    for number, node in enumerate(network.nodes):
        inputs = [index if index == PICTURE else sources[index] for index in node.inputs]
        sources.append(inputs[0] if node.operation.is_view else number)
        if node.operation.keeps_inputs:
            kept_outputs.update(inputs)
        if node.operation.keeps_output:
            kept_outputs.add(number)
    return [
        size * ((number in kept_outputs) + node.operation.index_words)
        for number, (node, size) in enumerate(zip(network.nodes, network.activation_sizes, strict=True))
    ]


def count_weights(layers: Sequence[LayerShape]) -> int:
    """Of all layers, without biases and batch norms."""
    return sum(layer.weights for layer in layers)


def estimate_passes(layers: Sequence[LayerShape], num_pictures: int) -> int:
    """Bytes of values while so many pictures go through a network, forward only."""
    largest = max(layer.outputs for layer in layers)
    return num_pictures * FLOAT_BYTES * (3 * largest + layers[0].pixels)


def estimate_training(layers: Sequence[LayerShape], batch_size: int, *, quantized: bool = False) -> int:
    """Bytes of values while a batch goes forward and back. quantized: each layer keeps what it read quantized, too."""
    kept, largest = sum(layer.kept for layer in layers), max(layer.outputs for layer in layers)
    values = kept * (2 if quantized else 1) + 2 * largest
    # A picture's pixels, their places as words of eight bytes, and as floats.
    return batch_size * (FLOAT_BYTES * values + 32 * layers[0].pixels)


def estimate_rounding(layers: Sequence[LayerShape], kept_share: float) -> int:
    """Bytes that it takes to learn what each weight is worth, and to fit channels anew. kept_share: of the channels."""
    convolutions = [layer for layer in layers if layer.places > 1]
    by_picture = max(
        (2 * kept_share**2 * layer.weights + 2 * kept_share * layer.patch * layer.places for layer in convolutions),
        default=0,
    )
    # Every layer's output twice, as it was and as it is, and the working copies of the layer that is fitted.
    outputs = 4 * sum(layer.outputs for layer in layers) + 6 * max(layer.outputs for layer in layers)
    return round(FLOAT_BYTES * max(FISHER_BATCH * by_picture, REFIT_EXAMPLES * kept_share * outputs))


def estimate_encoding(layers: Sequence[LayerShape]) -> int:
    """Bytes while a file is written."""
    return _ENCODED_BYTES * max(min(layer.weights, _MOST_DECISIONS) for layer in layers)


def estimate_pictures(facts: DatasetFacts) -> int:
    """Bytes of a data set."""
    return _PICTURE_COPIES * facts.num_pictures * math.prod(facts.input_shape)


def find_facts(summary: Mapping[str, Any], describe: Describe) -> DatasetFacts:
    """The facts of the data set that a stored model is of; of the largest in the catalogue where it does not say, and
    of those whose pictures it reads where there are such.
    """
    named = summary.get("dataset")
    if isinstance(named, str):
        with suppress(ValueError):
            return get_facts(named, describe)
    known = [name.facts for name in DatasetName]
    fitting = [facts for facts in known if [*facts.input_shape] == [*summary.get("input_shape", ())]]
    return max(fitting or known, key=estimate_pictures)


def read_network(summary: Mapping[str, Any]) -> Network | None:
    """Reads the record of a stored model from its summary. None for one that neither an architecture of ours nor a
    record describes.
    """
    with suppress(KeyError, TypeError, ValueError):
        if (record := summary.get("network")) is not None:
            return parse_network(json.dumps(record))
        channels, height, width = summary["input_shape"]
        return describe_network(
            Architecture(summary["architecture"]),
            tuple(summary["widths"]),
            input_shape=(channels, height, width),
            num_classes=len(summary["class_names"]),
        )
    return None


def read_layers(summary: Mapping[str, Any]) -> list[LayerShape] | None:
    """Reads the layers of a stored model from its summary; None where `read_network` reads none."""
    network = read_network(summary)
    return None if network is None else outline_layers(network)


def _sum_up(layers: list[LayerShape], facts: DatasetFacts | None, copies: float, values: int) -> MemoryEstimate:
    return MemoryEstimate(
        {
            **({} if facts is None else {Part.PICTURES: estimate_pictures(facts)}),
            Part.WEIGHTS: round(copies * count_weights(layers) * FLOAT_BYTES),
            Part.BATCHES: values,
        }
    )


def estimate_import(network: Network, facts: DatasetFacts | None) -> MemoryEstimate:
    """What an import holds. facts: of the data set that it is measured on; None where it is on none."""
    layers = outline_layers(network)
    # As they lie in the file, as arrays, in the network, in one for a single deviation, written and read back.
    return _sum_up(layers, facts, 6, estimate_passes(layers, 1 if facts is None else EVALUATION_BATCH))


def estimate_train(
    layers: list[LayerShape], facts: DatasetFacts, batch_size: int, optimizer: Optimizer
) -> MemoryEstimate:
    """What training from scratch holds."""
    # The weights, their gradients, what the optimizer keeps of each, and the best epoch's.
    copies = 3.5 + optimizer.num_states
    values = max(estimate_training(layers, batch_size), estimate_passes(layers, EVALUATION_BATCH))
    return _sum_up(layers, facts, copies, values)


def estimate_prune(layers: list[LayerShape], facts: DatasetFacts) -> MemoryEstimate:
    """What pruning and retraining hold."""
    # As for training; the dense model, masks and scores besides.
    values = max(estimate_training(layers, RETRAINING_BATCH), estimate_passes(layers, EVALUATION_BATCH))
    return _sum_up(layers, facts, 7, values)


def estimate_quantize(layers: list[LayerShape], facts: DatasetFacts, *, is_trained: bool) -> MemoryEstimate:
    """What quantization to one width holds."""
    values = max(
        estimate_passes(layers, CALIBRATION_EXAMPLES),
        estimate_training(layers, RETRAINING_BATCH, quantized=True) if is_trained else 0,
        estimate_encoding(layers),
    )
    return _sum_up(layers, facts, 9 if is_trained else 6, values)


def estimate_compress(layers: list[LayerShape], facts: DatasetFacts) -> MemoryEstimate:
    """What a compression holds, whatever its plan."""
    values = max(
        estimate_passes(layers, CALIBRATION_EXAMPLES),
        estimate_training(layers, RETRAINING_BATCH, quantized=True),
        estimate_rounding(layers, 1 - NARROWED_SHARE),
        estimate_encoding(layers),
    )
    return _sum_up(layers, facts, 10, values)
