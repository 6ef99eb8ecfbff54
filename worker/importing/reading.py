"""A file that somebody brought, read with its weights: the same whether it is measured afterwards or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from worker.brought_files import BroughtFile, ModelFormat
from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import describe_compressed, load_checkpoint, load_compressed, read_header
from worker.core.models import rebuild_model
from worker.importing.deviations import unify_deviations
from worker.importing.loading import load_arrays, place_arrays_
from worker.integer_network import IntegerNetwork
from worker.normalization import merge_channels
from worker.progress import Reporter

_NOTHING_SAID = {"dataset": None, "split_seed": None, "num_train_examples": None, "num_unknown_facts": 0}


def read_checkpoint(path: Path, reporter: Reporter) -> tuple[nn.Module, CheckpointInfo, dict[str, Any]]:
    """A checkpoint of Tonok's: the network, its facts, and what the file said, as JSON. Raises InvalidModel."""
    header = read_header(path)
    model, info = load_checkpoint(path)
    if header.dtypes != ("F32",):
        reporter.warn(f"the file's weights are {' and '.join(header.dtypes)}: they are stored as 32-bit floats")
    if unknown := header.declaration.unknown:
        reporter.warn(
            f"the file says {len(unknown)} things of itself that this version does not know: they are not kept"
        )
    return model, info, {
        "format": ModelFormat.CHECKPOINT,
        "weight_types": list(header.dtypes),
        "dataset": info.dataset,
        "split_seed": info.split_seed,
        "num_train_examples": info.num_train_examples,
        "num_unknown_facts": len(unknown),
    }  # fmt: skip


def read_compressed(path: Path) -> tuple[IntegerNetwork, CheckpointInfo, dict[str, Any]]:
    """A `.tonok` file, likewise; it does not say what its network was trained on. Raises InvalidModel."""
    _, network = load_compressed(path)
    info = describe_compressed(network, dataset=None, split_seed=0)
    return network, info, {"format": ModelFormat.COMPRESSED, "weight_types": [], **_NOTHING_SAID}


def read_weights(
    path: Path, found: BroughtFile, info: CheckpointInfo, reporter: Reporter
) -> tuple[nn.Module, tuple[float, ...], dict[str, Any]]:
    """An ONNX file or a plain state dict whose facts are known: the network, the one deviation that it is kept for, and
    what the file said, as JSON. Raises InvalidModel.
    """
    arrays = load_arrays(path, found.format, info)
    for note in arrays.notes:
        reporter.warn(note)
    model: nn.Module = rebuild_model(info)
    place_arrays_(model, arrays.values)
    std = info.std
    if len(merge_channels(std)) > 1:
        model, std = unify_deviations(model, info.mean, std)
        reporter.warn(
            "the channels have deviations of their own: the network is kept for one, and the weights of what reads the "
            "picture take the difference"
        )
    return model, std, {"format": found.format, "weight_types": list(arrays.dtypes), **_NOTHING_SAID}
