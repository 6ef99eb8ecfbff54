"""What all have in common: the checkpoint, the split, the epochs. Written as files that need nothing of ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from storage.settings import Settings
from worker.core.checkpoint import load_checkpoint
from worker.core.quantization_aware import DEFAULT_EPOCHS
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.jobs.prune import DEFAULT_STEPS

BIT_WIDTHS = (8, 6, 4, 2)


@dataclass(frozen=True)
class Budget:
    """Epochs by technique, the same for our jobs and for the rivals', and how much is pruned.

    weight_sparsity and weight_epochs: of single weights, for the rival that prunes and then quantizes; as many
    epochs as our `prune` retrains step by step.
    """

    quantization_epochs: dict[int, int] = field(
        default_factory=lambda: {bits: DEFAULT_EPOCHS[bits] for bits in BIT_WIDTHS}
    )
    channel_sparsity: float = 0.5
    channel_epochs: int = 2
    weight_sparsity: float = 0.9
    weight_epochs: int = DEFAULT_STEPS["steps"] * DEFAULT_STEPS["epochs_per_step"]


@dataclass(frozen=True)
class TaskFiles:
    """A folder that holds `task.json`, the checkpoint and `data.npz`; every tool works in a folder below it."""

    folder: Path
    checkpoint: Path
    budget: Budget
    seed: int
    threads: int

    @property
    def description(self) -> Path:
        return self.folder / "task.json"


def write_task(
    root: Path, checkpoint: Path, settings: Settings, *, max_train_examples: int | None, threads: int
) -> TaskFiles:
    """The files of one checkpoint, in a folder named by its content: another checkpoint is another task."""
    _, info = load_checkpoint(checkpoint)
    if info.architecture != "fashion_cnn" or info.dataset is None:
        raise SystemExit(f"the rivals are given a measured fashion_cnn; {checkpoint} holds {info.architecture}")
    data = load_dataset(
        info.dataset, DatasetLocation(settings.resolved_dataset_dir, settings.dataset_mirror), info.split_seed
    )
    data = data.limit_train(max_train_examples)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    folder = root / f"{digest[:12]}-{len(data.train)}"
    folder.mkdir(parents=True, exist_ok=True)
    task = TaskFiles(folder, folder / "baseline.safetensors", Budget(), info.split_seed, threads)
    if not task.checkpoint.exists():
        shutil.copyfile(checkpoint, task.checkpoint)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    arrays: dict[str, Any] = {}
    for name, split in splits.items():
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = split.images.numpy(), split.labels.numpy()
    if not (folder / "data.npz").exists():
        partial = folder / f"data-{os.getpid()}.npz"
        np.savez(partial, **arrays)
        partial.replace(folder / "data.npz")
    told = {
        "checkpoint": task.checkpoint.name,
        "checkpoint_sha256": digest,
        "widths": info.widths,
        "mean": info.mean,
        "std": info.std,
        "seed": task.seed,
        "threads": threads,
        "num_examples": {name: len(split) for name, split in splits.items()},
        **asdict(task.budget),
    }
    task.description.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return task
