"""Float checkpoints: safetensors with the facts that rebuild the network in its metadata. No pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from storage.errors import InvalidModel
from worker.core.coding import decode_network
from worker.core.datasets import Dataset
from worker.core.integer import IntegerNetwork
from worker.core.models import build_model, get_widths
from worker.core.quantization.deploy import build_integer_model

SUFFIX = ".safetensors"
COMPRESSED_SUFFIX = ".tonok"


@dataclass(frozen=True)
class CheckpointInfo:
    """What rebuilds a network and reads its input; `dataset` and `split_seed` say what it was trained on."""

    architecture: str
    widths: tuple[int, ...]
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: float
    std: float
    dataset: str
    split_seed: int
    num_train_examples: int | None = None
    """So many of the split's training pictures were used; later jobs of the lineage use no more."""


def describe_checkpoint(model: nn.Module, architecture: str, data: Dataset) -> CheckpointInfo:
    """The facts about a network trained on `data`."""
    return CheckpointInfo(
        architecture=architecture,
        widths=get_widths(architecture, model),
        input_shape=data.input_shape,
        class_names=data.class_names,
        mean=data.mean,
        std=data.std,
        dataset=data.name,
        split_seed=data.split_seed,
        num_train_examples=len(data.train),
    )


def save_checkpoint(path: Path, model: nn.Module, info: CheckpointInfo) -> int:
    """Writes the float32 weights; returns the file's bytes. Zeros of pruning are in the weights themselves."""
    # A counter of batches seen: of no use to inference, and int64.
    state = {
        name: value.detach().float().cpu().contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, path, metadata={"tonok": json.dumps(asdict(info), sort_keys=True)})
    return path.stat().st_size


def load_checkpoint(path: Path) -> tuple[nn.Module, CheckpointInfo]:
    """A float network in evaluation mode and its facts. Raises InvalidModel."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if "tonok" not in metadata:
            raise InvalidModel("the file is a safetensors file, but not one of Tonok's checkpoints")
        facts = json.loads(metadata["tonok"])
        info = CheckpointInfo(
            **{
                **facts,
                "widths": tuple(facts["widths"]),
                "input_shape": tuple(facts["input_shape"]),
                "class_names": tuple(facts["class_names"]),
            }
        )
        model = build_model(
            info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names)
        )
        missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidModel("the checkpoint cannot be read, or its tensors do not fit its architecture") from error
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise InvalidModel("the checkpoint's tensors do not fit its architecture")
    return model.eval(), info


def load_compressed(path: Path) -> tuple[nn.Module, IntegerNetwork]:
    """A network that computes on the integers of a compressed file. Raises InvalidModel."""
    network = decode_network(path.read_bytes())
    return build_integer_model(network), network


def copy_model(model: nn.Module, info: CheckpointInfo) -> nn.Module:
    """A network of the same widths with the same weights, independent of the one given."""
    twin = build_model(info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names))
    twin.load_state_dict(model.state_dict())
    return twin.to(next(model.parameters()).device)


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a model's tensors, to go back to by `load_state_dict`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
