"""What a file is said to have come about by, on networks that nobody trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from torch import nn

from tests.worker.core.compression.test_candidates import make
from tests.worker.core.compression.test_decisions import train
from worker.checkpoint_facts import CheckpointInfo
from worker.compression_plan import CompressionPlan, QatStage
from worker.core.baseline import Baseline
from worker.core.compression.ablation import list_networks
from worker.core.compression.candidates import MANTISSA_BITS
from worker.core.compression.derivation import Derivation
from worker.core.compression.plain import PlainFile
from worker.core.compression.rounding import Rounder
from worker.core.compression.task import CompressionTask
from worker.core.compression.teacher import Teacher
from worker.core.compression.techniques import list_techniques
from worker.core.models import build_model
from worker.core.training import Evaluation, SoftTargets
from worker.datasets import Dataset
from worker.techniques import AppliedTechnique, Technique, describe_techniques

PLAN = CompressionPlan(2, (QatStage(0.8, 2, 0.04), QatStage(0.9, 3, 0.03)), teacher_epochs=7, max_shift=1)
MANTISSAS, CODED = f"scales and biases rounded to {MANTISSA_BITS} mantissa bits", "context-modelled entropy coding"
LEARNED = "quantization-aware training with learned step sizes, 4 bit weights, 8 bit activations"


@pytest.fixture
def task(digits: Dataset) -> CompressionTask:
    info = CheckpointInfo("mlp", (24, 16), digits.input_shape, tuple("0123456789"), (0.3,), (0.3,), "digits", 0)
    right = Evaluation(math.nan, 90, 100)
    return CompressionTask(Baseline(nn.Identity(), info, digits, right, right, 9000), PLAN, 1.0, 0)


@pytest.fixture
def untouched(task: CompressionTask, digits: Dataset) -> Derivation:
    narrowed = build_model("mlp", (8, 16), input_shape=digits.input_shape, num_classes=10)

    def ask() -> SoftTargets:
        raise AssertionError("nobody trains here")

    return Derivation(
        chosen=make(5000, 0.0),
        calibrated=nn.Identity(),
        teacher=Teacher(nn.Identity(), is_trained=False, get_targets=ask),
        narrowed=narrowed,
        ancestry=(),
        rounder=Rounder(task.baseline, nn.Identity(), 0),
        plain=None,
    )


def test_a_file_that_was_calibrated_alone_says_so(task: CompressionTask, untouched: Derivation) -> None:
    said = describe_techniques(list_techniques(untouched, task))
    assert said == ("8 bit quantization, calibrated, without training", MANTISSAS, CODED)


@pytest.mark.parametrize("is_trained", [True, False])
def test_a_plain_file_says_how_it_was_quantized(
    task: CompressionTask, untouched: Derivation, *, is_trained: bool
) -> None:
    plain = PlainFile(nn.Identity(), untouched.chosen, 6, is_trained)
    first, *_ = said = describe_techniques(list_techniques(replace(untouched, plain=plain), task))
    if is_trained:
        expected = "quantization-aware training with learned step sizes, 6 bit weights, 6 bit activations"
        assert said[:2] == ("distillation from the dense model", expected)
    else:
        assert first == "6 bit quantization, calibrated, without training"


def test_a_pruned_file_says_all_that_lies_behind_it(task: CompressionTask, untouched: Derivation) -> None:
    first, second = train(0, 0.8, 0.2), train(1, 0.9, 0.5)
    assert second.stage is not None
    second = replace(second, stage=replace(second.stage, epochs=3, is_plain=True))
    derivation = replace(
        untouched,
        chosen=replace(second.candidate, rd_lambda=2.5e-5),
        teacher=replace(untouched.teacher, is_trained=True),
        ancestry=(first, second),
    )
    assert describe_techniques(list_techniques(derivation, task)) == (
        "channel pruning, hidden widths 24-16 to 8-16",
        "distillation from the dense model",
        "the teacher trained for up to 7 more epochs",
        "training pictures shifted by up to 1 px",
        "the last 3 epochs on training pictures as they are stored",
        LEARNED,
        "weights gradually pruned (LAMP) to 90.0 % while quantized",
        "rate-distortion rounding of the integers: a bit is worth 2.50e-05 nats per picture",
        "scale and bias of each channel fitted anew after rounding",
        MANTISSAS,
        CODED,
    )


def test_what_did_not_happen_is_not_told(task: CompressionTask, untouched: Derivation) -> None:
    derivation = replace(untouched, ancestry=(train(0, 0.8, 0.2),))
    said = describe_techniques(list_techniques(derivation, replace(task, plan=replace(PLAN, max_shift=0))))
    assert said == (
        "channel pruning, hidden widths 24-16 to 8-16",
        "distillation from the dense model",
        LEARNED,
        "weights gradually pruned (LAMP) to 80.0 % while quantized",
        MANTISSAS,
        CODED,
    )


def test_the_sparsity_that_is_told_is_the_one_that_was_reached(task: CompressionTask, untouched: Derivation) -> None:
    first, second = train(0, 0.8, 0.2, reached=0.75), train(1, 0.9, 0.5, reached=0.8125)
    derivation = replace(untouched, ancestry=(first, second))

    def find(applied: Sequence[AppliedTechnique]) -> list[float | None]:
        return [one.sparsity for one in applied if one.technique is Technique.WEIGHT_PRUNING]

    assert find(list_techniques(derivation, task)) == [0.8125]
    told = {stage: find(applied) for stage, applied, _ in list_networks(derivation, task)}
    assert (told["rung-0"], told["rung-1"]) == ([0.75], [0.8125])
