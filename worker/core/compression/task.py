"""What a compression is asked for, and how any of its networks is trained."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from worker.compression_plan import CompressionPlan
from worker.core.baseline import Baseline
from worker.core.fit_progress import FitProgress
from worker.core.pruning.difference import Difference
from worker.core.pruning.gradual import GradualPruner
from worker.core.training import SoftTargets, TrainingSettings, fit
from worker.learning import Attempt

BATCH_SIZE = 128


@dataclass(frozen=True)
class CompressionTask:
    """Which network to compress, by which plan, within how many points of drop on validation."""

    baseline: Baseline
    plan: CompressionPlan
    max_drop: float
    seed: int

    def compute_digest(self) -> str:
        """SHA-256 of the network's weights, the pictures of every split and all that was asked for."""
        # Facts by name, and no whole record: one that has a field more in a later version is the same task.
        info, data = self.baseline.info, self.baseline.data
        # One number for all channels stands here as it did before channels had their own.
        means = (info.mean[0], info.std[0]) if len(info.mean) == len(info.std) == 1 else (info.mean, info.std)
        facts = (info.architecture, list(info.widths), list(info.class_names), *means)
        record = () if info.network is None else (json.dumps(info.network.to_json()),)
        told = repr((facts, self.plan, float(self.max_drop), int(self.seed), *record))
        digest = hashlib.sha256(told.encode())
        pictures = [(split.images, split.labels) for split in (data.train, data.validation, data.test)]
        for values in (*self.baseline.model.state_dict().values(), *(part for pair in pictures for part in pair)):
            digest.update(values.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class StageSparsity:
    """What a stage was asked for and what it reached. unit: `channels` or `weights`, of which the sparsities count.

    difference: why the two are not the same; None where they are as near as the stage's steps allow.
    """

    stage: str
    unit: str
    asked_sparsity: float
    reached_sparsity: float
    difference: Difference | None


def train_network(
    model: nn.Module,
    task: CompressionTask,
    epochs: int,
    learning_rate: float,
    progress: FitProgress,
    *,
    soft_targets: SoftTargets | None,
    pruner: GradualPruner | None = None,
    resume_file: Path | None = None,
    is_plain: bool = False,
    is_fresh: bool = False,
) -> dict[str, Any]:
    """Trains in place towards the labels and, where there are any, the soft targets.

    is_plain: on pictures as stored. is_fresh: the weights were drawn by lot. Without a pruner the best epoch is kept;
    with one the last, as only that one is as sparse as it should be. Returns how it went, as a result holds it.
    """
    if is_plain and soft_targets is not None:
        soft_targets = soft_targets.select_plain()

    def on_retry(given_up: Attempt, next_rate: float) -> None:
        if pruner is not None:
            pruner.restart()
        progress.on_retry(given_up, next_rate)

    history = fit(
        model,
        task.baseline.data,
        TrainingSettings(
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=BATCH_SIZE,
            warmup=0.15,
            distillation_weight=0.7,
            flip=not is_plain,
            max_shift=0 if is_plain else task.plan.max_shift,
            seed=task.seed,
            keep_best=pruner is None,
            is_fresh=is_fresh,
        ),
        soft_targets=soft_targets,
        after_step=pruner,
        on_batch=progress.on_batch,
        on_epoch=progress.on_epoch,
        on_retry=on_retry,
        resume_file=resume_file,
    )
    outcome = history.describe_outcome()
    assert outcome is not None  # noqa: S101
    return outcome
