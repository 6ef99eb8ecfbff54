"""The report of a study: its steps, its data set and its network as the facts that a report is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storage.errors import InvalidModel
from worker.catalog import ArtifactKind, DatasetName
from worker.checkpoint_facts import CheckpointInfo
from worker.dataset_refs import is_stored
from worker.job_spec import FinishedStep, JobContext, JobSpec, StepArtifact
from worker.report.facts import ArtifactFact, DatasetFact, ModuleFact, StepFact, StudyFacts
from worker.results.train import TrainResult

if TYPE_CHECKING:
    from torch import nn

SAMPLES_PER_CLASS = 12
"""Pictures of each class that the report shows."""
_DRAWN_TESTS = frozenset(name for name in DatasetName if name.facts.is_test_drawn)


def find_artifact(step: FinishedStep, kind: ArtifactKind) -> StepArtifact:
    """The only one of its kind."""
    (found,) = [artifact for artifact in step.artifacts if artifact.kind == kind]
    return found


def write_study_report(
    spec: JobSpec,
    language: str,
    context: JobContext,
    steps: Mapping[str, FinishedStep],
    max_train_examples: int | None,
) -> list[Any]:
    """Writes the documents; returns what the report finds, each finding with its numbers, as JSON.

    steps: by name; the baseline's is `train`. language: `en` or `fa`. max_train_examples: that it was trained on.
    """
    from worker.core.checkpoint import load_checkpoint
    from worker.environment import describe_environment
    from worker.report import write_report

    model, info = load_checkpoint(find_artifact(steps["train"], ArtifactKind.CHECKPOINT).path)
    facts = StudyFacts(
        job_id=context.job_id,
        spec=spec.model_dump(mode="json"),
        steps={
            name: StepFact(
                name=name,
                job_id=step.job_id,
                kind=step.kind,
                spec=step.spec,
                result=step.result,
                artifacts=[ArtifactFact(one.name, one.kind, one.sha256, one.num_bytes) for one in step.artifacts],
                seconds=step.seconds,
                reused=step.is_reused,
            )
            for name, step in steps.items()
        },
        environment={
            **describe_environment(context.threads),
            "precision": str(TrainResult.read(steps["train"].result).precision),
        },
        dataset=_describe_dataset(info, context, max_train_examples),
        modules=_list_modules(model),
    )
    paths = {
        suffix: context.artifact_path(f"report-{language}.{suffix}", ArtifactKind.REPORT)
        for suffix in ("pdf", "docx", "html", "json")
    }
    write_report(facts, language, paths)
    findings: list[Any] = json.loads(paths["json"].read_text(encoding="utf-8"))["findings"]
    return findings


def _describe_dataset(info: CheckpointInfo, context: JobContext, max_train_examples: int | None) -> DatasetFact:
    """As the baseline was trained on it: a stored model brings its own split."""
    from worker.datasets import count_classes, load_dataset, take_samples

    if info.dataset is None:
        raise InvalidModel("the trained network does not say which pictures it was trained on", field="dataset")
    whole = load_dataset(info.dataset, context.datasets, info.split_seed)
    brought = context.dataset_summary(info.dataset) if is_stored(info.dataset) else {}
    data = whole.limit_train(max_train_examples)
    return DatasetFact(
        name=data.name,
        class_names=data.class_names,
        input_shape=data.input_shape,
        counts=count_classes(data),
        mean=data.mean,
        std=data.std,
        samples=take_samples(data, SAMPLES_PER_CLASS),
        is_mirrorable=data.is_mirrorable,
        title=brought.get("name"),
        is_test_drawn=brought.get("is_test_drawn", info.dataset in _DRAWN_TESTS),
    )


def _list_modules(model: nn.Module) -> list[ModuleFact]:
    from worker.core.graph import outline_modules
    from worker.core.models.build import get_record

    macs = get_record(model).macs
    return [
        ModuleFact(one.name, one.kind, one.shape, one.parameters, macs.get(one.name)) for one in outline_modules(model)
    ]
