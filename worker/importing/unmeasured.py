"""A network that is brought without a data set: stored as it is, to be fine-tuned to one or to be asked."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.catalog import NotMeasuredReason
from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import load_checkpoint, load_compressed, save_checkpoint
from worker.core.device import device_of, find_device
from worker.core.stored_model import StoredModel, describe_float, describe_integers
from worker.model_description import StoredFacts, summarise
from worker.model_summary import ModelSummary
from worker.pixels import normalize_pixels


def store_unmeasured_float(path: Path, model: nn.Module, info: CheckpointInfo) -> StoredModel:
    """Writes a checkpoint and reads it back; no data set is there to measure it on. Raises InvalidModel."""
    num_bytes = save_checkpoint(path, model, info)
    stored, info = load_checkpoint(path)
    return _finish(path, stored, info, describe_float(stored, info, num_bytes, num_bytes))


def store_unmeasured_compressed(path: Path, file: bytes, info: CheckpointInfo, reference_bytes: int) -> StoredModel:
    """Writes a `.tonok` file and decodes it from disk; likewise. reference_bytes: of it as a plain checkpoint."""
    path.write_bytes(file)
    model, decoded = load_compressed(path)
    return _finish(path, model, info, describe_integers(model, decoded, path.stat().st_size, reference_bytes))


def _finish(path: Path, model: nn.Module, info: CheckpointInfo, facts: StoredFacts) -> StoredModel:
    _check_answers(model.to(find_device()), info)
    fields = summarise(info, facts)
    summary = ModelSummary(**fields, not_measured=NotMeasuredReason.NO_DATASET)
    return StoredModel(path, info, fields["sparsity"], facts.sizes, summary)


@torch.inference_mode()
def _check_answers(model: nn.Module, info: CheckpointInfo) -> None:
    """Finite weights may add up to numbers that are none. Asked of a dark picture, a bright one and one of noise."""
    noise = torch.randint(0, 256, (1, *info.input_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pictures = torch.cat([torch.zeros_like(noise), torch.full_like(noise, 255), noise]).to(device_of(model))
    for number in range(len(pictures)):  # one by one: nobody asked how large they may be
        if not bool(model(normalize_pixels(pictures[number : number + 1], info.mean, info.std)).isfinite().all()):
            raise InvalidModel("the network answers numbers that are not finite")
