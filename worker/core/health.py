"""Whether a network answers at all: without that its accuracy, size and drop say nothing, however good they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from worker.binomial import compute_upper_tail
from worker.catalog import HealthProblem
from worker.core.quantization.integer_model import IntegerConv2d, IntegerLinear
from worker.names import MOST_LISTED

NEARLY_ALL = 0.95
"""Share of the answers from which on one class takes nearly all; where so many pictures are of it, that is no fault."""
LEAST_GAIN = 0.2
"""Who answers one class nearly always, and yet is right on so large a share of what that class leaves, tells others."""
CERTAINTY = 0.05
"""A network is right more often than by chance where chance is right as often with a smaller probability than this."""
SAME = 1e-6
"""Outputs that differ by less, relative to the largest, are the same: float32 tells no more apart."""


@dataclass(frozen=True)
class Health:
    """What was looked at and what is wrong, on one split. Shares are fractions; the classes are indices."""

    problems: tuple[HealthProblem, ...]
    most_answered_class: int
    most_answered_share: float
    largest_class_share: float
    """Of the split's labels: the accuracy of who always answers the most frequent class."""
    accuracy: float
    dead_layers: tuple[str, ...]
    num_not_finite: int
    """Pictures to which it answered numbers that are not finite."""

    def to_json(self) -> dict[str, Any]:
        """`health` of a model's summary and of a result."""
        return {
            "problems": [str(problem) for problem in self.problems],
            "most_answered_class": self.most_answered_class,
            "most_answered_share": self.most_answered_share,
            "largest_class_share": self.largest_class_share,
            "accuracy": self.accuracy,
            "dead_layers": list(self.dead_layers),
            "num_not_finite": self.num_not_finite,
        }


def judge_health(
    answered: Sequence[int],
    labelled: Sequence[int],
    num_correct: int,
    dead_layers: Sequence[str] = (),
    num_not_finite: int = 0,
) -> Health:
    """answered, labelled: pictures of a split by the class that was answered, and by their label."""
    num_examples = sum(labelled)
    most, share = max(enumerate(answered), key=lambda pair: pair[1])[0], max(answered) / num_examples
    largest = max(labelled) / num_examples
    found = {
        HealthProblem.ONE_CLASS: share >= NEARLY_ALL
        and 1 - share < (1 - largest) / 2
        and num_correct / num_examples - largest < LEAST_GAIN * (1 - largest),
        HealthProblem.CHANCE: is_chance(num_correct, num_examples, largest),
        HealthProblem.DEAD_LAYER: bool(dead_layers),
        HealthProblem.NOT_FINITE: num_not_finite > 0,
    }
    return Health(
        problems=tuple(problem for problem, is_found in found.items() if is_found),
        most_answered_class=most,
        most_answered_share=share,
        largest_class_share=largest,
        accuracy=num_correct / num_examples,
        dead_layers=tuple(dead_layers),
        num_not_finite=num_not_finite,
    )


def is_chance(num_correct: int, num_examples: int, largest_class_share: float) -> bool:
    """Whether always answering the most frequent class would be right as often with a probability of 5 % or more."""
    return compute_upper_tail(num_correct, num_examples, largest_class_share) >= CERTAINTY


def describe_problems(health: Health, class_names: Sequence[str]) -> list[str]:
    """A sentence for each problem, for a job's warnings."""
    name = class_names[health.most_answered_class]
    accuracy, largest = 100 * health.accuracy, 100 * health.largest_class_share
    share = 100 * health.most_answered_share
    said = {
        HealthProblem.ONE_CLASS: f"it answers {name!r} to {share:.2f} % of the validation pictures, whatever they show",
        HealthProblem.CHANCE: f"it is right on {accuracy:.2f} % of the validation pictures, not distinguishably more "
        f"often than whoever always answers the most frequent class ({largest:.2f} %): its size and its drop say "
        "nothing good of it",
        HealthProblem.DEAD_LAYER: f"nothing passes {_list_layers(health.dead_layers)}: the output there is the same "
        "for every picture",
        HealthProblem.NOT_FINITE: f"it answers numbers that are not finite to {health.num_not_finite} pictures",
    }
    return [said[problem] for problem in health.problems]


def _list_layers(names: Sequence[str]) -> str:
    first = ", ".join(names[:MOST_LISTED])
    return first if len(names) <= MOST_LISTED else f"{len(names)} layers, the first of which are {first}"


@torch.inference_mode()
def find_dead_layers(model: nn.Module, x: torch.Tensor) -> tuple[str, ...]:
    """Convolutions and linear layers whose output is the same for every picture. x: (B, C, H, W), normalised, B > 1.

    A layer wholly zero is one, and so is what lies behind channels that never fire.
    """
    dead: list[str] = []

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: object, _inputs: object, output: torch.Tensor) -> None:
            spread = output.amax(0) - output.amin(0)
            # Of numbers that are not finite every comparison is false: they are another problem.
            if bool((spread <= SAME * output.abs().amax(0)).all()):
                dead.append(name)

        return layer.register_forward_hook(hook)

    kinds = nn.Conv2d | nn.Linear | IntegerConv2d | IntegerLinear
    handles = [watch(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    was_training = model.training
    try:
        model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return tuple(dead)
