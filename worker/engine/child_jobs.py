"""From the steps that a run asks for to jobs' rows, and back. Only reads: the worker queues what is missing."""

from __future__ import annotations

from sqlmodel import Session

from storage.artifacts import list_artifacts
from storage.errors import InvalidModel, InvalidSpec, NotFound, StepFailed
from storage.files import FileStore
from storage.steps import compute_step_hash, find_step, list_children
from storage.tables import TERMINAL, Job, JobStatus
from worker.engine.outcome import StagedStep
from worker.job_spec import FinishedStep, Step, StepArtifact
from worker.stored_specs import adapt_spec


def stage_step(session: Session, parent: Job, name: str, step: Step) -> StagedStep:
    """The child job that a step would be. Raises InvalidModel where the model it starts from is gone."""
    resolved = step.spec.model_dump(mode="json")
    try:
        step_hash = compute_step_hash(session, resolved, step.spec.version)
    except NotFound as error:
        raise InvalidModel(f"{name}: {error.detail}", field="model_id") from error
    children = list_children(session, parent.id)
    if all(child.step_hash != step_hash for child in children):
        same = (child.step_hash for child in children if _is_older_form(session, child, step, step_hash))
        step_hash = next(same, None) or step_hash
    return StagedStep(name=name, resolved_spec=resolved, step_hash=step_hash, expected_s=step.expected_s)


def _is_older_form(session: Session, child: Job, step: Step, step_hash: str) -> bool:
    """Whether the child is this step as an earlier version stored it: without a field that has been added since, say.

    By the same version of the kind's code only, and by bytes of the model that have not changed.
    """
    version = step.spec.version
    if child.kind != step.spec.kind:
        return False
    try:
        if compute_step_hash(session, child.resolved_spec, version) != child.step_hash:
            return False
        read = adapt_spec(type(step.spec), child.resolved_spec).spec
        return compute_step_hash(session, read.model_dump(mode="json"), version) == step_hash
    except (NotFound, InvalidSpec):
        return False


def look_up_step(session: Session, files: FileStore, parent: Job, step: StagedStep) -> Job | None:
    """The succeeded job that is this step, or None where it has still to end. Raises StepFailed."""
    job = find_step(session, files, parent, step.step_hash, step.resolved_spec.get("model_id"))
    if job is None or job.status not in TERMINAL:
        return None
    if job.status == JobStatus.SUCCEEDED:
        return job
    error = job.error or {"code": "step_cancelled", "detail": "it was cancelled", "retryable": True}
    verb = "failed" if job.error else "did not end"
    raise StepFailed(
        f"step {step.name} ({job.id}) {verb}: {error['detail']}", code=error["code"], retryable=error["retryable"]
    )


def read_step(session: Session, files: FileStore, parent: Job, job: Job) -> FinishedStep:
    """What a succeeded job leaves to its parent."""
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    return FinishedStep(
        job_id=job.id,
        kind=job.kind,
        spec=job.resolved_spec,
        result=job.result or {},
        output_model_id=job.output_model_id,
        artifacts=tuple(
            StepArtifact(
                name=artifact.name,
                kind=artifact.kind,
                sha256=artifact.sha256,
                num_bytes=artifact.num_bytes,
                path=files.path(artifact.sha256),
            )
            for artifact in list_artifacts(session, job.id)
        ),
        seconds=seconds,
        is_reused=job.parent_job_id != parent.id,
    )
