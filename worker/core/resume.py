"""Finished steps of a long computation: kept, and found again by the next attempt after a kill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from worker.core.baseline import Baseline
from worker.core.device import device_of
from worker.core.models import describe_shape, rebuild_model
from worker.core.models.build import build_module
from worker.network.record import parse_network

Step = dict[str, Any]
"""Tensors, numbers, strings, and lists and dicts of them."""
_TASK = "task"
_SUFFIXES = (".step", ".state")


class Checkpoints(Protocol):
    """Where a computation keeps what it has finished."""

    def keep(self, name: str, compute: Callable[[], Step]) -> Step:
        """Returns the step of that name as it was kept, or computes it now and keeps it for the next attempt."""

    def state_file(self, name: str) -> Path | None:
        """Where a training of that name keeps its last epoch; None to keep none."""

    def claim(self, task: str) -> bool:
        """Notes what is computed there, a digest; discards all that is kept of anything else, or of nobody knows what.

        Returns whether there was such.
        """


class NoCheckpoints:
    """Keeps nothing: what is killed begins anew."""

    def keep(self, name: str, compute: Callable[[], Step]) -> Step:  # noqa: ARG002
        """Computes the step."""
        return compute()

    def state_file(self, name: str) -> Path | None:  # noqa: ARG002
        """No file."""
        return None

    def claim(self, task: str) -> bool:  # noqa: ARG002
        """Nothing is kept, and so nothing of anybody else."""
        return False


class FolderCheckpoints:
    """Keeps each step as a file of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, compute: Callable[[], Step]) -> Step:
        """Reads `<name>.step`, or computes and writes it."""
        path = self.folder / f"{name}.step"
        if path.exists():
            kept: Step = torch.load(path, weights_only=True)
            return kept
        step = compute()
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            torch.save(step, stream)
            # Or a power cut may leave the name without its bytes, and every later attempt would stumble over it.
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        return step

    def state_file(self, name: str) -> Path:
        """`<name>.state`."""
        return self.folder / f"{name}.state"

    def claim(self, task: str) -> bool:
        """Reads `task.step`, and removes every checkpoint where that names another task, none, or cannot be read."""
        kept = sorted(path for path in self.folder.iterdir() if path.suffix in _SUFFIXES)
        is_foreign = bool(kept) and self._read_task() != task
        if is_foreign:
            # First of all the name of whose they are: a kill in between leaves what is nobody's, and never another's.
            self._task_file.unlink(missing_ok=True)
            for path in kept:
                path.unlink(missing_ok=True)
        self.keep(_TASK, lambda: {"digest": task})
        return is_foreign

    @property
    def _task_file(self) -> Path:
        return self.folder / f"{_TASK}.step"

    def _read_task(self) -> str | None:
        try:
            step: object = torch.load(self._task_file, weights_only=True)
        except Exception:  # noqa: BLE001 - whatever a damaged or a foreign file makes of it: it is not ours
            return None
        digest = step.get("digest") if isinstance(step, dict) else None
        return digest if isinstance(digest, str) else None


def open_plan_folder(folder: Path, plan: str) -> FolderCheckpoints:
    """The steps of one plan, in a folder of their own: an attempt whose plan is another one, as after an upgrade, finds
    none of the steps before and begins anew.
    """
    own = folder / hashlib.sha256(plan.encode()).hexdigest()[:16]
    own.mkdir(exist_ok=True)
    return FolderCheckpoints(own)


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies a model's tensors, to go back to by `load_state_dict`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def keep_trained(
    checkpoints: Checkpoints, name: str, baseline: Baseline, model: nn.Module, train: Callable[[], Step]
) -> tuple[nn.Module, Step]:
    """Trains a float network of the baseline's architecture, unless the step `name` is kept.

    train: trains `model` in place and returns what is told of it. Returns the trained network, in evaluation mode where
    the baseline's lies, and the step.
    """
    info = baseline.info

    def compute() -> Step:
        told = train()
        widths, network = describe_shape(info.architecture, model)
        record = None if network is None else json.dumps(network.to_json())
        return {"widths": list(widths), "network": record, "state": snapshot(model), **told}

    step = checkpoints.keep(name, compute)
    record = step.get("network")  # a step of an earlier version has none
    trained = rebuild_model(info, step["widths"]) if record is None else build_module(parse_network(record))
    trained.load_state_dict(step["state"])
    return trained.to(device_of(baseline.model)).eval(), step
