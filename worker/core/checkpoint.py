"""Float checkpoints: safetensors with the facts that rebuild the network in its metadata. No pickle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from storage.errors import InvalidModel
from worker.checkpoint_facts import CheckpointInfo, check_facts, write_facts
from worker.coding import decode_network
from worker.core.device import device_of
from worker.core.models import describe_shape, rebuild_model
from worker.core.quantization.integer_model import build_integer_model
from worker.datasets import Dataset
from worker.integer_network import IntegerNetwork
from worker.model_heads import COUNTER, CheckpointHeader, is_tonok, read_checkpoint_header
from worker.network.architectures import shrink_widths
from worker.picture_policy import ResizePolicy

COMPRESSED_SUFFIX = ".tonok"

_SIZE_TRIALS = 4
"""Widths tried until a network's file is about as large as another one."""


def describe_checkpoint(model: nn.Module, architecture: str, data: Dataset) -> CheckpointInfo:
    """The facts about a network trained on `data`."""
    widths, network = describe_shape(architecture, model)
    return CheckpointInfo(
        architecture=architecture,
        widths=widths,
        input_shape=data.input_shape,
        class_names=data.class_names,
        mean=data.mean,
        std=data.std,
        dataset=data.name,
        split_seed=data.split_seed,
        num_train_examples=len(data.train),
        network=network,
        resize=data.resize,
    )


def describe_compressed(network: IntegerNetwork, dataset: str | None, split_seed: int) -> CheckpointInfo:
    """The facts about the network of a `.tonok` file, which does not say itself what it was trained on."""
    return CheckpointInfo(
        architecture=network.architecture,
        widths=network.widths,
        input_shape=network.input_shape,
        class_names=network.class_names,
        mean=network.mean,
        std=network.std,
        dataset=dataset,
        split_seed=split_seed,
        network=network.network,
        resize=network.resize,
    )


def save_checkpoint(path: Path, model: nn.Module, info: CheckpointInfo) -> int:
    """Writes the float32 weights; returns the file's bytes. Zeros of pruning are in the weights themselves."""
    save_file(_read_state(model), path, metadata=_write_metadata(info))
    return path.stat().st_size


def count_checkpoint_bytes(info: CheckpointInfo, widths: tuple[int, ...]) -> int:
    """Bytes that the checkpoint of such a network would take with other widths, header included."""
    model = rebuild_model(info, widths)
    return len(save(_read_state(model), metadata=_write_metadata(replace(info, widths=widths))))


def match_widths(
    info: CheckpointInfo,
    num_bytes: int,
    max_parameters: int,
    count_bytes: Callable[[tuple[int, ...]], int],
    correct: Callable[[int, int], int],
) -> tuple[int, ...]:
    """Widths in the proportions of `info` whose file comes nearest to `num_bytes`, of a few that are tried.

    count_bytes: of the file at some widths. correct: the number of parameters tried and the bytes they took → the next.
    """
    tried: dict[tuple[int, ...], int] = {}
    for _ in range(_SIZE_TRIALS):
        widths = shrink_widths(
            info.architecture,
            info.widths,
            max_parameters=max_parameters,
            input_shape=info.input_shape,
            num_classes=len(info.class_names),
        )
        tried[widths] = count_bytes(widths)
        max_parameters = correct(max_parameters, tried[widths])
    return min(tried, key=lambda widths: abs(tried[widths] - num_bytes))


def _read_state(model: nn.Module) -> dict[str, torch.Tensor]:
    # A counter of batches seen: of no use to inference, and int64.
    return {
        name: value.detach().float().cpu().contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith(COUNTER)
    }


def _write_metadata(info: CheckpointInfo) -> dict[str, str]:
    return {"tonok": write_facts(info)}


def load_checkpoint(path: Path) -> tuple[nn.Module, CheckpointInfo]:
    """A float network in evaluation mode and its facts. Weights of 16 bits become float32.

    The file may come from anywhere: what it declares is held against its bytes before memory is taken for it. Raises
    InvalidModel.
    """
    header = read_header(path)
    info = header.declaration.info
    try:
        stored = load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidModel("the checkpoint cannot be read") from error
    state = {name: stored[name].float() for name in header.tensors}
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise InvalidModel("the checkpoint holds weights that are not finite numbers")
    model = rebuild_model(info)
    missing = model.load_state_dict(state, strict=False).missing_keys
    if not all(name.endswith(COUNTER) for name in missing):
        raise InvalidModel("the checkpoint lacks weights of its network", field="tensors")
    return model.eval(), info


def read_header(path: Path) -> CheckpointHeader:
    """What a float checkpoint says of itself, held against the network that it says it is of. Raises InvalidModel."""
    with path.open("rb") as stream:
        return read_checkpoint_header(stream)


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode, float or on integers, and how it reads a picture: (p / 255 - mean) / std."""

    model: nn.Module
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: ResizePolicy | None


def is_compressed(path: Path) -> bool:
    """Whether the file says that it is a `.tonok` file."""
    with path.open("rb") as stream:
        return is_tonok(stream)


def load_network(path: Path) -> Network:
    """Whatever a stored model's file holds. Raises InvalidModel."""
    if is_compressed(path):
        model, network = load_compressed(path)
        return Network(model, network.input_shape, network.class_names, network.mean, network.std, network.resize)
    model, info = load_checkpoint(path)
    return Network(model, info.input_shape, info.class_names, info.mean, info.std, info.resize)


def load_compressed(path: Path) -> tuple[nn.Module, IntegerNetwork]:
    """A network that computes on the integers of a compressed file. Raises InvalidModel."""
    network = decode_network(path.read_bytes())
    check_facts(network)
    if not all(layer.input_scale > 0 for layer in network.layers):
        raise InvalidModel("input_scale of the network is out of bounds: above 0 in every layer", field="input_scale")
    return build_integer_model(network), network


def copy_model(model: nn.Module, info: CheckpointInfo) -> nn.Module:
    """A network of the same widths with the same weights, independent of the one given."""
    twin = rebuild_model(info)
    twin.load_state_dict(model.state_dict())
    return twin.to(device_of(model))
