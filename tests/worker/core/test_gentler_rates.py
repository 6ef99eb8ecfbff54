"""`fit` goes back to where it began where a training does not learn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.worker.core.test_training import Interrupted, build_network, same
from worker.catalog import Precision
from worker.core.training import MAX_GRADIENT_NORM, BatchProgress, TrainingSettings, evaluate, fit
from worker.datasets import Dataset
from worker.learning import Attempt, EpochRecord, History, Trouble

SETTINGS = TrainingSettings(epochs=3, learning_rate=0.2, batch_size=64, flip=False, precision=Precision.FLOAT32)


class Spoiler:
    """Makes the weights useless after every step, until the training begins anew `times` times."""

    def __init__(self, times: int, value: float = math.nan) -> None:
        self.times, self.value = times, value
        self.retries: list[tuple[Attempt, float]] = []

    def __call__(self, model: nn.Module) -> None:
        if len(self.retries) < self.times:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.fill_(self.value)

    def note_retry(self, given_up: Attempt, learning_rate: float) -> None:
        self.retries.append((given_up, learning_rate))


def train(
    model: nn.Module, data: Dataset, spoiler: Spoiler, resume_file: Path | None = None, *, stop_at: int = 99
) -> tuple[History, list[BatchProgress]]:
    seen: list[BatchProgress] = []

    def on_epoch(record: EpochRecord, _progress: BatchProgress) -> None:
        if len(spoiler.retries) == spoiler.times and record.epoch == stop_at:
            raise Interrupted

    history = fit(
        model, data, SETTINGS, after_step=spoiler, on_batch=seen.append, on_epoch=on_epoch,
        on_retry=spoiler.note_retry, resume_file=resume_file,
    )  # fmt: skip
    return history, seen


@pytest.mark.parametrize(("times", "value"), [(1, math.nan), (2, math.nan), (1, 0.0)])
def test_a_training_that_does_not_learn_begins_anew_at_a_gentler_rate(
    digits: Dataset, times: int, value: float
) -> None:
    model, spoiler = build_network(), Spoiler(times, value)
    before = evaluate(model, digits, digits.validation).accuracy
    history, seen = train(model, digits, spoiler)
    outcome = history.outcome
    assert outcome is not None
    assert [rate for _, rate in spoiler.retries] == [0.2 / 4**number for number in range(1, times + 1)]
    assert [attempt.reason for attempt in outcome.attempts] == [
        *[Trouble.AT_CHANCE if value == 0 else Trouble.NOT_FINITE] * times,
        None,
    ]
    assert (outcome.kept, outcome.learned, outcome.start_accuracy) == (times, True, before)
    assert len(history.epochs) == 3
    assert evaluate(model, digits, digits.test).accuracy > 0.5
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_a_fit_killed_after_it_began_anew_ends_as_if_it_had_not_been(digits: Dataset, tmp_path: Path) -> None:
    whole, killed, file = build_network(), build_network(), tmp_path / "training.state"
    expected, _ = train(whole, digits, Spoiler(1, 0.0))
    with pytest.raises(Interrupted):
        train(killed, digits, Spoiler(1, 0.0), file, stop_at=2)
    # The process that goes on knows nothing but the file.
    again, _ = train(build_network(), digits, Spoiler(0), file)
    resumed = build_network()
    train(resumed, digits, Spoiler(0), file)
    assert same(resumed, whole)
    assert again.outcome is not None
    assert expected.outcome is not None
    assert again.outcome.to_json() == expected.outcome.to_json()


@pytest.mark.slow
def test_fine_tuning_that_only_harms_leaves_what_it_began_with(digits: Dataset) -> None:
    model = build_network()
    fit(model, digits, replace(SETTINGS, epochs=8, learning_rate=0.1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    history, _ = train(model, digits, Spoiler(9, 0.0))
    assert history.outcome is not None
    assert (history.outcome.kept, history.outcome.learned, history.best_epoch) == (None, False, 0)
    reasons = [attempt.reason for attempt in history.outcome.attempts]
    # The last attempt is run to its end.
    assert reasons == [Trouble.FORGOT, Trouble.FORGOT, Trouble.FORGOT, Trouble.AT_CHANCE]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "is_limited"),
    [({}, True), ({"is_fresh": True}, False), ({"is_fresh": True, "is_from_scratch": False}, True)],
    ids=["trained on", "from scratch", "a new last layer"],
)
def test_no_batch_moves_good_weights_without_batch_norm_by_more_than_its_rate(
    digits: Dataset, changes: dict[str, Any], *, is_limited: bool
) -> None:
    """The first step from weights that are so large that the gradient is far longer than the limit."""
    model = build_network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    before, moved = nn.utils.parameters_to_vector(model.parameters()).clone(), list[float]()

    def note(trained: nn.Module) -> None:
        moved.append((nn.utils.parameters_to_vector(trained.parameters()) - before).norm().item())

    fit(model, digits, replace(SETTINGS, epochs=1, weight_decay=0.0, warmup=0.0, **changes), after_step=note)
    # Nesterov's first step is the rate times the gradient and 0.9 of it once more.
    assert (moved[0] < SETTINGS.learning_rate * 1.9 * MAX_GRADIENT_NORM * 1.001) == is_limited
