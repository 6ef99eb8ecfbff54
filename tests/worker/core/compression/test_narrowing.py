"""How many channels a compression takes, on a network each of whose neurons is worth the same number of points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from worker.checkpoint_facts import CheckpointInfo
from worker.compression_plan import CompressionPlan, QatStage
from worker.compression_plan.parts import plan_time
from worker.core.baseline import Baseline
from worker.core.compression.task import CompressionTask
from worker.core.compression.teacher import Teacher, choose_channel_sparsity, find_affordable_share, narrow
from worker.core.compression.timetable import TimedTracker
from worker.core.models import build_model
from worker.core.pruning.channels import count_channels
from worker.core.pruning.difference import Difference
from worker.core.resume import NoCheckpoints
from worker.core.soft_targets import compute_soft_targets
from worker.core.training import Evaluation
from worker.datasets import Dataset, Split
from worker.progress import QuietReporter

SIDE, NUM_CLASSES = 4, 10
STANDSTILL = 1e-30
"""A learning rate: what is pruned stays as bad as it then is."""
PLAN = CompressionPlan(1, (QatStage(0.5, 1, STANDSTILL),), channel_sparsity=0.4, dense_rate=STANDSTILL)


def light_pixels(per_class: int) -> Split:
    """Pictures of class k: pixel k alone is white."""
    labels = torch.arange(NUM_CLASSES).repeat(per_class)
    images = torch.zeros(len(labels), SIDE * SIDE, dtype=torch.uint8)
    images[torch.arange(len(labels)), labels] = 255
    return Split(images.reshape(-1, 1, SIDE, SIDE), labels)


@pytest.fixture
def baseline() -> Baseline:
    """Neuron k fires for class k alone; without it, class 9's pictures aside, the first class is answered."""
    model = build_model("mlp", (NUM_CLASSES,), input_shape=(1, SIDE, SIDE), num_classes=NUM_CLASSES).eval()
    hidden, output = (layer for layer in model.modules() if isinstance(layer, nn.Linear))
    with torch.no_grad():
        for layer in (hidden, output):
            layer.weight.zero_()
            layer.bias.zero_()
            # The higher the class, the larger its weights: the order in which neurons go is not drawn by lot.
            layer.weight[:, :NUM_CLASSES] = torch.diag(torch.arange(NUM_CLASSES) + 10.0)
        output.bias[NUM_CLASSES - 1] = 1.0  # who fires for nobody is taken for the last class
    names = tuple(map(str, range(NUM_CLASSES)))
    data = Dataset(
        "lights", light_pixels(20), light_pixels(10), light_pixels(10), names, (0.0,), (1.0,), 0, is_mirrorable=False
    )
    right = Evaluation(math.nan, 100, 100)
    info = CheckpointInfo("mlp", (NUM_CLASSES,), data.input_shape, names, (0.0,), (1.0,), data.name, 0)
    return Baseline(model, info, data, right, right, 1000)


def take(baseline: Baseline, max_drop: float) -> tuple[int, float, Difference | None]:
    """Neurons that are left of ten, the share that is said to be gone, and why."""
    task = CompressionTask(baseline, PLAN, max_drop, 0)
    tracker = TimedTracker(QuietReporter(), NoCheckpoints(), plan_time(PLAN, num_views=1, has_controls=False))
    teacher = Teacher(
        baseline.model, is_trained=False, get_targets=lambda: compute_soft_targets(baseline.model, baseline.data)
    )
    narrowed = narrow(task, teacher, tracker)
    assert narrowed.channels.asked_sparsity == choose_channel_sparsity(PLAN.channel_sparsity, baseline.model) == 0.4
    return count_channels(narrowed.model), narrowed.channels.reached_sparsity, narrowed.channels.difference


# Four of ten neurons are four classes: 40 points.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("max_drop", "left", "gone", "why"),
    [
        pytest.param(40.0, 6, 0.4, None, id="as many as planned, where the drop allows it"),
        pytest.param(20.0, 8, 0.2, Difference.BEYOND_DROP, id="else as many as it allows"),
        pytest.param(4.0, 10, 0.0, Difference.BEYOND_DROP, id="none, where it allows less than one"),
        pytest.param(0.0, 10, 0.0, Difference.BEYOND_DROP, id="none, where no drop is allowed"),
    ],
)
def test_a_network_gives_as_many_channels_as_the_drop_allows(
    baseline: Baseline, max_drop: float, left: int, gone: float, why: Difference | None
) -> None:
    found = take(baseline, max_drop)
    assert (found[0], found[2]) == (left, why)
    assert found[1] == pytest.approx(gone)


def test_what_a_share_of_the_channels_costs_is_taken_to_grow_with_it() -> None:
    assert find_affordable_share(0.5, 8.0, 1.0) == 0.0625
    assert find_affordable_share(0.6, 2.0, 1.0) == 0.3
    assert find_affordable_share(0.5, 8.0, 0.0) == 0.0
