"""Float checkpoints: safetensors with the facts that rebuild the network in its metadata. No pickle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save, save_file
from torch import nn

from storage.errors import InvalidModel
from worker.core.coding import decode_network
from worker.core.coding.container import MAGIC, MAX_TEXT_BYTES
from worker.core.datasets import Dataset
from worker.core.integer import IntegerNetwork
from worker.core.models import build_model, get_widths, shrink_widths
from worker.core.quantization.deploy import build_integer_model

MAX_HEADER_BYTES = 1 << 20
MAX_LAYERS = 1024
MAX_CLASSES = 4096
MAX_SIDE = 4096
FEWEST_EXAMPLES = 10
"""Of what a checkpoint may say about itself: files come from outside too."""

SUFFIX = ".safetensors"
COMPRESSED_SUFFIX = ".tonok"

_SIZE_TRIALS = 4
"""Widths tried until a network's file is about as large as another one."""


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


_FACTS = TypeAdapter(CheckpointInfo)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
    save_file(_read_state(model), path, metadata=_write_metadata(info))
    return path.stat().st_size


def count_checkpoint_bytes(info: CheckpointInfo, widths: tuple[int, ...]) -> int:
    """Bytes that the checkpoint of such a network would take with other widths, header included."""
    model = build_model(
        info.architecture, widths, input_shape=info.input_shape, num_classes=len(info.class_names)
    )  # fmt: skip
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
        if not name.endswith("num_batches_tracked")
    }


def _write_metadata(info: CheckpointInfo) -> dict[str, str]:
    return {"tonok": json.dumps(asdict(info), sort_keys=True)}


def load_checkpoint(path: Path) -> tuple[nn.Module, CheckpointInfo]:
    """A float network in evaluation mode and its facts.

    The file may come from anywhere: what it declares is held against its bytes before memory is taken for it. Raises
    InvalidModel.
    """
    with path.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
    if header_bytes > min(MAX_HEADER_BYTES, path.stat().st_size):
        raise InvalidModel("the file is neither a Tonok file nor a safetensors checkpoint")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "tonok" not in metadata:
                raise InvalidModel("the file is a safetensors file, but not one of Tonok's checkpoints")
            stored = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
            shapes = {name: (tensor.get_dtype(), tuple(tensor.get_shape())) for name, tensor in stored.items()}
        info = _FACTS.validate_json(metadata["tonok"], strict=True)
        _check_facts(info)
        with torch.device("meta"):
            outline = build_model(
                info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names)
            )
        expected = {
            name: ("F32", tuple(value.shape))
            for name, value in outline.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        if shapes != expected:
            raise InvalidModel("the checkpoint's tensors do not fit its architecture")
        model = build_model(
            info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names)
        )
        missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidModel("the checkpoint cannot be read, or its tensors do not fit its architecture") from error
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise InvalidModel("the checkpoint's tensors do not fit its architecture")
    if not all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()):
        raise InvalidModel("the checkpoint holds weights that are not finite numbers")
    return model.eval(), info


def _check_facts(facts: CheckpointInfo | IntegerNetwork) -> None:
    """Raises InvalidModel, which names the field."""
    rules = {
        "widths": (len(facts.widths) <= MAX_LAYERS, f"at most {MAX_LAYERS} of them"),
        "input_shape": (
            all(1 <= side <= MAX_SIDE for side in facts.input_shape),
            f"each side from 1 to {MAX_SIDE}",
        ),
        "class_names": (
            1 <= len(facts.class_names) <= MAX_CLASSES and all(map(_is_name, facts.class_names)),
            f"1 to {MAX_CLASSES} names, each a line of text of 1 to {MAX_TEXT_BYTES} bytes",
        ),
        "mean": (math.isfinite(facts.mean), "a finite number"),
        "std": (math.isfinite(facts.std) and facts.std > 0, "a finite number above 0"),
    }
    if isinstance(facts, CheckpointInfo):
        rules["split_seed"] = (0 <= facts.split_seed < 2**31, "from 0 to 2^31 - 1")
        rules["num_train_examples"] = (
            facts.num_train_examples is None or facts.num_train_examples >= FEWEST_EXAMPLES,
            f"at least {FEWEST_EXAMPLES}",
        )
    for field, (is_kept, rule) in rules.items():
        if not is_kept:
            raise InvalidModel(f"{field} in the file is out of bounds: {rule}", field=field)


def _is_name(text: str) -> bool:
    return 1 <= len(text.encode()) <= MAX_TEXT_BYTES and not _CONTROL.search(text)


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode, float or on integers, and how it reads a picture: (p / 255 - mean) / std."""

    model: nn.Module
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: float
    std: float


def is_compressed(path: Path) -> bool:
    """Whether the file says that it is a `.tonok` file."""
    with path.open("rb") as stream:
        return stream.read(2) == MAGIC[:2]


def load_network(path: Path) -> Network:
    """Whatever a stored model's file holds. Raises InvalidModel."""
    if is_compressed(path):
        model, network = load_compressed(path)
        return Network(model, network.input_shape, network.class_names, network.mean, network.std)
    model, info = load_checkpoint(path)
    return Network(model, info.input_shape, info.class_names, info.mean, info.std)


def load_compressed(path: Path) -> tuple[nn.Module, IntegerNetwork]:
    """A network that computes on the integers of a compressed file. Raises InvalidModel."""
    network = decode_network(path.read_bytes())
    _check_facts(network)
    if not all(layer.input_scale > 0 for layer in network.layers):
        raise InvalidModel("input_scale in the file is out of bounds: above 0 in every layer", field="input_scale")
    return build_integer_model(network), network


def copy_model(model: nn.Module, info: CheckpointInfo) -> nn.Module:
    """A network of the same widths with the same weights, independent of the one given."""
    twin = build_model(info.architecture, info.widths, input_shape=info.input_shape, num_classes=len(info.class_names))
    twin.load_state_dict(model.state_dict())
    return twin.to(next(model.parameters()).device)


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a model's tensors, to go back to by `load_state_dict`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
