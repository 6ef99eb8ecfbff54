"""What a model's file tells of it, as its summary says it. Torch-free: whoever reads the tensors counts them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.checkpoint_facts import CheckpointInfo
from worker.model_summary import LayerSparsity, ModelLayer, Sparsity

_KB = 1024
FLOAT_BITS = 32


@dataclass(frozen=True)
class LayerFacts:
    """A convolution or linear layer as it lies in the file."""

    name: str
    shape: tuple[int, ...]
    num_zeros: int
    macs: int
    bit_width: int = FLOAT_BITS


@dataclass(frozen=True)
class StoredFacts:
    """What the file of a model tells. own: the fields of a summary that float and integer networks do not share."""

    sizes: dict[str, int]
    layers: tuple[LayerFacts, ...]
    own: dict[str, Any]


def summarise(info: CheckpointInfo, facts: StoredFacts) -> dict[str, Any]:
    """The fields of a model's summary that its file alone tells."""
    return {
        "architecture": info.architecture,
        **({} if info.network is None else {"network": info.network.to_json()}),
        "dataset": info.dataset,
        "split_seed": info.split_seed,
        "class_names": info.class_names,
        "input_shape": info.input_shape,
        "sparsity": _compute_sparsity(facts.layers),
        "size": build_ledger(facts.sizes, facts.sizes["float32"]),
        "layers": [_describe_layer(layer, is_last=layer is facts.layers[-1]) for layer in facts.layers],
        "macs": sum(layer.macs for layer in facts.layers),
        **facts.own,
    }


def _compute_sparsity(layers: Sequence[LayerFacts]) -> Sparsity:
    """Counted, then divided."""
    zeros, totals = [layer.num_zeros for layer in layers], [math.prod(layer.shape) for layer in layers]
    rows = zip(layers, zeros, totals, strict=True)
    return Sparsity(
        total=sum(zeros) / sum(totals),
        layers=tuple(LayerSparsity(name=one.name, zeros=n, total=total, sparsity=n / total) for one, n, total in rows),
    )


def _describe_layer(layer: LayerFacts, *, is_last: bool) -> ModelLayer:
    is_float = layer.bit_width == FLOAT_BITS
    reason = "its channels are the classes: only single weights can be pruned" if is_last else None
    return ModelLayer(
        name=layer.name,
        type="conv2d" if len(layer.shape) == 4 else "linear",
        shape=layer.shape,
        parameters=math.prod(layer.shape),
        macs=layer.macs,
        bit_width=layer.bit_width,
        prunable=is_float,
        quantizable=is_float,
        reason=reason if is_float else "quantized already",
    )


def build_ledger(entries: Mapping[str, int], reference_bytes: int) -> dict[str, Any]:
    """The size ledger as JSON. reference_bytes: the plain float32 checkpoint that ratios are taken against.

    1 _KB = 1024 bytes; ratio = reference_bytes / bytes.
    """
    return {
        "reference_bytes": reference_bytes,
        "entries": [
            {
                "measure": measure,
                "bytes": num_bytes,
                "kb": round(num_bytes / _KB, 3),
                "ratio": round(reference_bytes / num_bytes, 2) if num_bytes else None,
            }
            for measure, num_bytes in entries.items()
        ],
    }
