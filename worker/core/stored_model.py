"""A network that was written to its file and read back: what is told of it without a single picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worker.checkpoint_facts import CheckpointInfo
from worker.coding import compute_entropy_bytes, compute_packed_bytes
from worker.core.graph import list_layers
from worker.core.measure import compute_float_sizes
from worker.core.models.build import get_record
from worker.environment import describe_environment
from worker.integer_network import IntegerNetwork
from worker.model_description import LayerFacts, StoredFacts
from worker.model_summary import ModelSummary, Sparsity

_REPEATED = (
    "architecture", "widths", "parameters", "input_shape", "class_names", "layers", "not_measured", "evaluation",
    "correctness", "health", "accuracy_drop", "accuracy_drop_interval", "sparsity", "size", "macs", "latency",
)  # fmt: skip
"""What of a model's summary a result repeats, so that it can be read without the model."""


@dataclass(frozen=True)
class StoredModel:
    """A network that was read back from its file. sizes: measure → bytes. summary: all that is stored of it."""

    path: Path
    info: CheckpointInfo
    sparsity: Sparsity
    sizes: Mapping[str, int]
    summary: ModelSummary

    @property
    def num_bytes(self) -> int:
        """Of its file."""
        return self.sizes["file"]

    @property
    def baseline_model_id(self) -> str | None:
        """The model that it was made from."""
        return None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the result of every kind has which makes a model, but for its id."""
        return {
            **{name: getattr(self.summary, name) for name in _REPEATED},
            "environment": describe_environment(torch.get_num_threads()),
        }

    def list_warnings(self, name: str) -> list[str]:
        """Says in a line each what is to be known before the model is used."""
        said = f"{name} was measured on no data set: how often it is right is not known"
        if self.summary.bit_width is not None:
            return [said]
        return [f"{said}; fine-tune it on one (`train` with `initial_model_id`) before it is compressed"]


def describe_float(model: nn.Module, info: CheckpointInfo, num_bytes: int, reference_bytes: int) -> StoredFacts:
    """Of a checkpoint. num_bytes: of its file. reference_bytes: of the checkpoint that ratios are against."""
    macs = get_record(model).macs
    return StoredFacts(
        {"float32": reference_bytes, **compute_float_sizes(model), "file": num_bytes},
        tuple(
            LayerFacts(name, tuple(layer.weight.shape), int((layer.weight == 0).sum()), macs[name])
            for name, layer in list_layers(model).items()
        ),
        {
            "widths": info.widths,
            "resize": info.resize,
            "bit_width": None,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
    )


def describe_integers(model: nn.Module, decoded: IntegerNetwork, num_bytes: int, reference_bytes: int) -> StoredFacts:
    """Of a compressed file; the model computes on what was decoded from it."""
    return StoredFacts(
        {
            "float32": reference_bytes,
            "formula": -(-sum(layer.weight.size * layer.bit_width for layer in decoded.layers) // 8),
            "packed": compute_packed_bytes(decoded),
            "entropy": math.ceil(compute_entropy_bytes(decoded)),
            "file": num_bytes,
        },
        tuple(
            LayerFacts(layer.name, layer.weight.shape, int((layer.weight == 0).sum()), cost, layer.bit_width)
            for layer, cost in zip(decoded.layers, get_record(model).macs.values(), strict=True)
        ),
        {
            "widths": decoded.widths,
            "resize": decoded.resize,
            "bit_width": max(layer.bit_width for layer in decoded.layers),
            "activation_bit_widths": [layer.input_bit_width for layer in decoded.layers],
            "parameters": sum(layer.weight.size + layer.bias.size for layer in decoded.layers),
            # The integers are computed here in floating point, exactly but not fast: a time would mislead.
            "latency": None,
        },
    )
