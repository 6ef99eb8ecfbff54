"""What a study asks for, as specs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from worker.catalog import ArtifactKind
from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import save_checkpoint
from worker.core.models import build_model, get_widths
from worker.job_spec import FinishedStep, StepArtifact
from worker.jobs import parse_spec
from worker.jobs.study import Recipe, StudySpec, find_small_widths

EPOCHS, SPARSITY = 8, 0.953
"""Of the step-by-step pruning."""


def dump(spec: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = spec.model_dump(mode="json", exclude={"name"})
    return dumped


@pytest.mark.parametrize("effort", ["quick", "standard"])
def test_the_controls_differ_from_step_by_step_pruning_in_what_they_control_alone(effort: Any) -> None:
    recipe = Recipe(StudySpec(effort=effort))
    pruning = dump(recipe.build_main("mdl_1")["step_by_step"].spec)
    controls = {
        name: dump(step.spec) for name, step in recipe.build_controls("mdl_1", EPOCHS, SPARSITY, (2, 3, 4)).items()
    }  # fmt: skip
    epochs = controls["control_unpruned"]["steps"] * pruning["epochs_per_step"]
    assert epochs == EPOCHS
    budget = {"steps": controls["control_unpruned"]["steps"]}
    assert controls["control_unpruned"] == pruning | budget | {"sparsity": 0}
    assert controls["control_random"] == pruning | budget | {"sparsity": 0.953, "method": "random"}
    training = dump(recipe.build_training().spec)
    assert controls["control_small_dense"] == training | {"widths": [2, 3, 4]}


def test_a_pruning_that_pruned_nothing_gets_no_controls() -> None:
    assert list(Recipe(StudySpec()).build_controls("mdl_1", 0, 0.0, (2, 3, 4))) == ["control_small_dense"]


def test_a_network_without_widths_to_choose_has_the_controls_that_need_none() -> None:
    recipe = Recipe(StudySpec(architecture="torchvision:resnet18", dataset="dst_1"))
    controls = recipe.build_controls("mdl_1", EPOCHS, SPARSITY, None)
    assert list(controls) == ["control_unpruned", "control_random"]


@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    [("torchvision:squeezenet1_1", "adamw"), ("torchvision:resnet18", "sgd"), ("lenet5", "adamw")],
)
def test_a_network_without_batch_norm_is_trained_gently(architecture: str, optimizer: str) -> None:
    training = Recipe(StudySpec(architecture=architecture, dataset="dst_1")).build_training().spec
    assert dump(training) == dump(training) | {"architecture": architecture, "widths": None, "optimizer": optimizer}


def test_a_study_of_a_stored_model_begins_with_its_weights() -> None:
    recipe = Recipe(StudySpec(initial_model_id="mdl_9", max_train_examples=100))
    training = dump(recipe.build_training().spec)
    # Its own pictures, network and rate; fewer epochs than from fresh weights.
    start = {"initial_model_id": "mdl_9", "dataset": None, "architecture": None, "widths": None, "learning_rate": None}
    assert training == training | start | {"max_train_examples": 100}
    assert training["epochs"] < Recipe(StudySpec()).epochs
    assert Recipe(StudySpec(initial_model_id="mdl_9", epochs=40)).epochs == 40
    asked = dump(Recipe(StudySpec(initial_model_id="mdl_9", dataset="dst_1")).build_training().spec)
    assert asked["dataset"] == "dst_1"
    assert list(recipe.build_controls("mdl_1", EPOCHS, SPARSITY, None)) == ["control_unpruned", "control_random"]


def test_the_file_is_held_against_controls_where_that_is_asked_for() -> None:
    plain, asked = (Recipe(StudySpec(file_controls=wanted)).build_main("mdl_1") for wanted in (False, True))
    assert dump(asked["compress"].spec) == dump(plain["compress"].spec) | {"controls": True}
    assert asked["compress"].expected_s > plain["compress"].expected_s
    assert {name for name in plain if asked[name] != plain[name]} == {"compress"}


@pytest.mark.parametrize("architecture", ["fashion_cnn", "depthwise_cnn"])
def test_the_small_dense_control_has_about_the_bytes_of_the_file_header_included(
    architecture: str, tmp_path: Path
) -> None:
    model = build_model(architecture)
    classes = tuple(f"class {label}" for label in range(10))
    widths = get_widths(architecture, model)
    info = CheckpointInfo(architecture, widths, (1, 28, 28), classes, (0.3,), (0.3,), "digits", 0)
    path = tmp_path / "baseline.safetensors"
    save_checkpoint(path, model, info)
    artifact = StepArtifact(path.name, ArtifactKind.CHECKPOINT, "", 0, path)
    trained = FinishedStep("job_1", "train", {}, {}, "mdl_1", (artifact,), 1.0, is_reused=False)
    small = find_small_widths(trained, 9000)
    save_checkpoint(path, build_model(architecture, small), dataclasses.replace(info, widths=small))
    assert path.stat().st_size == pytest.approx(9000, rel=0.06)


def test_the_four_widths_of_the_assignment_are_all_trained() -> None:
    quantize = dump(Recipe(StudySpec(effort="standard")).build_main("mdl_1")["quantize"].spec)
    assert (quantize["bit_widths"], quantize["mode"]) == ([8, 6, 4, 2], "quantization_aware")


def test_a_study_seeds_and_limits_its_steps_as_it_was_told() -> None:
    spec = StudySpec(seed=7, max_attempts=4, max_runtime_s=99, labels={"team": "a"}, name="first")
    steps = [Recipe(spec).build_training(), *Recipe(spec).build_main("mdl_1").values()]
    assert {(step.spec.seed, step.spec.max_attempts, step.spec.max_runtime_s) for step in steps} == {(7, 4, 99)}
    assert all(step.spec.labels == {"team": "a"} for step in steps)
    assert [step.spec.name for step in steps][:2] == ["first: train", "first: one_shot"]


@pytest.mark.parametrize(
    "change",
    [
        {"effort": "thorough"},
        {"language": "de"},
        {"widths": [1, 2]},
        {"epochs": 0},
        {"model_id": "latest"},
        {"architecture": "torchvision:resnet152"},
        {"architecture": "torchvision:resnet18", "widths": [8]},
        {"initial_model_id": "mdl_1", "architecture": "mlp"},
        {"initial_model_id": "mdl_1", "widths": [4]},
    ],
)
def test_a_study_that_cannot_be_done_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse_spec({"kind": "study"} | change)
