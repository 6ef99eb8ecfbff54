"""The state of a fit that has to survive an epoch, in memory and in a file."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from storage.errors import Diverged
from worker.learning import (
    Attempt,
    EpochRecord,
    History,
    Outcome,
    Terms,
    Trouble,
    choose_attempt,
    list_usable,
    read_attempt,
)

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class ClosedAttempt:
    """An attempt that is over, and its epochs."""

    attempt: Attempt
    records: list[EpochRecord]


class FitState:
    """What a fit knows: the attempts that are over and the epochs, weights and optimizer of the present one.

    path: written after every epoch, and read again by the next `FitState` of the same fit.
    """

    def __init__(self, model: nn.Module, path: Path | None) -> None:
        self.model, self.path = model, path
        self.loaded: dict[str, Any] = {}
        if path is not None and path.exists():
            self.loaded = torch.load(path, weights_only=True)
        # A file of an earlier version holds none of what belongs to attempts: its first one is under way.
        self.start_state: Weights = self.loaded.get("start_state") or copy.deepcopy(model.state_dict())
        self.start_accuracy: float | None = self.loaded.get("start_accuracy")
        self.attempts: list[Attempt] = [read_attempt(attempt) for attempt in self.loaded.get("attempts", [])]
        self.ends: list[tuple[History, Weights]] = [
            (_read_history(end), end["state"]) for end in self.loaded.get("ends", [])
        ]
        """Epochs and weights of each attempt that is over."""
        self.rate: float | None = self.loaded.get("rate")
        self.share_before: float = self.loaded.get("share_before", 0.0)
        """How much of the whole fit was done when the present attempt began."""
        self._clear()

    def _clear(self) -> None:
        self.history = History()
        self.step = 0
        self.best_accuracy = -1.0
        self.best_state: Weights = {}

    def prepare(self, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Takes what the present attempt trains with, and puts it where the file left it."""
        self.optimizer, self.generator = optimizer, generator
        if not self.loaded:
            return
        state, self.loaded = self.loaded, {}
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_generator"])
        self.step, self.best_accuracy, self.best_state = state["step"], state["best_accuracy"], state["best_state"]
        self.history = _read_history(state)

    def add(self, record: EpochRecord, *, keep: bool) -> None:
        """Appends an epoch. keep: whether the most accurate one counts, else the last."""
        self.history.epochs.append(record)
        if not keep:
            self.history.best_epoch = record.epoch
        elif record.judged_accuracy > self.best_accuracy:
            self.best_accuracy = record.judged_accuracy
            self.best_state = copy.deepcopy(self.model.state_dict())
            self.history.best_epoch = record.epoch

    def save(self) -> None:
        """Writes the file, where there is one."""
        if self.path is None:
            return
        temporary = self.path.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(),
                "torch_generator": torch.get_rng_state(),
                "step": self.step,
                "best_accuracy": self.best_accuracy,
                "best_state": self.best_state,
                "best_epoch": self.history.best_epoch,
                "epochs": self.history.to_json(),
                "start_state": self.start_state,
                "start_accuracy": self.start_accuracy,
                "rate": self.rate,
                "share_before": self.share_before,
                "attempts": [attempt.to_json() for attempt in self.attempts],
                "ends": [
                    {"epochs": history.to_json(), "best_epoch": history.best_epoch, "state": weights}
                    for history, weights in self.ends
                ],
            },
            temporary,
        )
        temporary.replace(self.path)

    def close_attempt(self, rate: float, trouble: Trouble | None, *, ended: bool, keep_best: bool) -> ClosedAttempt:
        """The present attempt is over, at its end or before. Keeps the weights that may count."""
        history = self.history
        attempt = Attempt(rate, len(history.epochs), history.kept_accuracy, trouble, ended)
        self.attempts.append(attempt)
        self.ends.append((history, self.best_state if keep_best else copy.deepcopy(self.model.state_dict())))
        return ClosedAttempt(attempt, history.epochs)

    def begin_anew(self, share: float) -> None:
        """Back to the weights that the fit began with. share: of the whole fit that is done."""
        self.model.load_state_dict(self.start_state)
        self.share_before = share
        self._clear()

    def finish(self, terms: Terms) -> History:
        """Gives the model the weights that count, and tells how the attempts went. Raises Diverged where none do."""
        if not list_usable(self.attempts, terms):
            tried = ", ".join(f"{attempt.learning_rate:g}" for attempt in self.attempts)
            raise Diverged(f"the training loss is not finite; learning rates tried: {tried}")
        kept = choose_attempt(self.attempts, terms)
        history, weights = self.ends[-1 if kept is None else kept]
        if kept is None:
            history, weights = History(history.epochs), self.start_state
        accuracy = terms.start if kept is None else history.kept_accuracy or 0.0
        self.model.load_state_dict(weights)
        self.model.eval()
        learned = kept is not None and terms.has_learned(accuracy)
        return replace(history, outcome=Outcome(tuple(self.attempts), kept, learned, terms.chance, terms.start))


def _read_history(stored: dict[str, Any]) -> History:
    return History([EpochRecord(**record) for record in stored["epochs"]], stored["best_epoch"])
