"""Jobs that are steps of another one. A parent waits for them without a lease, a process or a slot.

`Job.waits_for` of a waiting parent, NULL otherwise:
`{"done_s", "later_s", "steps": {step's id: {"name", "expected_s"}}}`, what each part of the whole is expected to cost.
Its status stays `running`: for its client it is at work. Whoever writes a step's row in a way that concerns those who
wait for it calls a function of this module in the same transaction.

A step is its parent's child, or was queued for another job of the same owner and is shared: it belongs to one parent
and others wait for it too. A parent that has no use for it any more leaves it to one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import String, cast, update
from sqlmodel import Session, col, select

from storage.artifacts import get_artifact, list_artifacts
from storage.errors import CorruptFile, NotFound
from storage.events import add_event
from storage.files import FileStore
from storage.models import get_model
from storage.tables import TERMINAL, Job, JobStatus, Model, utc_now

START_FIELDS = ("model_id", "initial_model_id")
"""Where a spec names the stored model that its job starts from."""
_NO_PART_OF_THE_HASH = ("name", "labels", "max_attempts", "max_runtime_s")
_CANDIDATES = 20
_PACE_PRIOR_S = 20.0
"""For so long what was expected is believed; then the more the pace that was seen, on this machine and data."""


def compute_step_hash(session: Session, resolved_spec: Mapping[str, Any], version: int) -> str:
    """What two jobs share that must have the same result: spec, version of the kind's code, bytes of the model.

    Raises NotFound where the model is gone.
    """
    content = {name: value for name, value in resolved_spec.items() if name not in _NO_PART_OF_THE_HASH}
    for field in START_FIELDS:
        model_id = content.pop(field, None)
        if model_id is not None:
            content[field.removesuffix("_id")] = find_model_file(session, model_id)
    text = json.dumps([version, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def find_model_file(session: Session, model_id: str) -> str | None:
    """SHA-256 of the file that jobs read: the checkpoint, or without one the compressed file. Raises NotFound."""
    stored = get_model(session, model_id).files
    artifact_id = stored.get("checkpoint") or stored.get("compressed")
    return None if artifact_id is None else get_artifact(session, artifact_id).sha256


def find_step(session: Session, files: FileStore, parent: Job, step_hash: str, model_id: str | None) -> Job | None:
    """The job that is this step: the parent's own child, whatever became of it, else one of its owner's that had done
    the same.
    """
    same = select(Job).where(col(Job.step_hash) == step_hash)
    newest_first = (col(Job.created_at).desc(), col(Job.id).desc())
    own = session.exec(same.where(col(Job.parent_job_id) == parent.id).order_by(*newest_first).limit(1)).first()
    if own is not None:
        return own
    done = same.where(col(Job.owner) == parent.owner, col(Job.status) == JobStatus.SUCCEEDED)
    candidates = session.exec(done.order_by(*newest_first).limit(_CANDIDATES)).all()
    # Equal in bytes; the one that names the same model tells the lineage more truly.
    by_lineage = sorted(candidates, key=lambda job: job.model_id != model_id)
    return next((job for job in by_lineage if _is_whole(session, files, job)), None)


def find_unfinished(session: Session, parent: Job, step_hash: str) -> Job | None:
    """The job of the parent's owner that is this step and waits or runs, for whomever."""
    same = select(Job).where(col(Job.step_hash) == step_hash, col(Job.owner) == parent.owner)
    live = same.where(
        col(Job.status).in_((JobStatus.QUEUED, JobStatus.RUNNING)),
        col(Job.cancel_requested).is_(False),
        col(Job.id) != parent.id,
    )
    return session.exec(live.order_by(col(Job.created_at), col(Job.id)).limit(1)).first()


def _is_whole(session: Session, files: FileStore, job: Job) -> bool:
    if job.output_model_id is not None and session.get(Model, job.output_model_id) is None:
        return False
    try:
        # Read, for a file that has rotted would fail this parent, and each one after it.
        for artifact in list_artifacts(session, job.id):
            files.verify(artifact.sha256)
    except (NotFound, CorruptFile):
        return False
    return True


def list_children(session: Session, job_id: str) -> list[Job]:
    """The jobs that are steps of this one, oldest first."""
    query = select(Job).where(col(Job.parent_job_id) == job_id).order_by(col(Job.created_at), col(Job.id))
    return list(session.exec(query.execution_options(populate_existing=True)).all())


def stop_job(session: Session, job_id: str) -> bool:
    """Cancels a queued job at once, asks a running one to stop; one that waits ends with its steps.

    False, and nothing changes, where the job has ended or is being stopped already.
    """
    now = utc_now()
    is_job = col(Job.id) == job_id
    stopped = session.exec(
        update(Job)
        .where(is_job, col(Job.status) == JobStatus.QUEUED)
        .values(status=JobStatus.CANCELLED, cancel_requested=True, finished_at=now, updated_at=now)
    ).rowcount
    if stopped:
        _add_event(session, job_id, JobStatus.CANCELLED, {})
        conclude(session, job_id)
        return True
    asked = session.exec(
        update(Job)
        .where(is_job, col(Job.status) == JobStatus.RUNNING)
        .values(status=JobStatus.CANCELLING, cancel_requested=True, updated_at=now)
    ).rowcount
    if not asked:
        return False
    _add_event(session, job_id, JobStatus.CANCELLING, {})
    if _get(session, job_id).waits_for is not None:
        _stop_children(session, job_id)
        _go_on(session, job_id, is_in_vain=False)
    return True


def conclude(session: Session, job_id: str) -> None:
    """To be called for every job that has just ended: stops what it leaves behind, and tells its parent."""
    _stop_children(session, job_id)
    job = _get(session, job_id)
    for waiting_id in _list_concerned(session, job):
        if _tell(session, waiting_id, job, "step_ended", {"status": job.status}):
            _go_on(session, waiting_id, is_in_vain=job.status != JobStatus.SUCCEEDED)


def announce_start(session: Session, job: Job) -> None:
    """To be called for a job whose attempt starts: the log of its parent, and of who else waits for it, tells so."""
    for waiting_id in _list_concerned(session, job):
        _tell(session, waiting_id, job, "step_started", {"attempt": job.counted_attempt})


def reflect_progress(session: Session, job_id: str, data: Mapping[str, Any] | None) -> None:
    """To be called after a job's progress was written: moves the bar of its parent, and of who else waits for it.

    data: of the job's own `progress` event, where it has one; who waits gets the same under the step's name.
    """
    job = _get(session, job_id)
    for waiting_id in _list_waiting(session, job):
        _reflect_progress(session, waiting_id, job, data)


def _reflect_progress(session: Session, parent_id: str, job: Job, data: Mapping[str, Any] | None) -> None:
    parent = _get(session, parent_id)
    if parent.waits_for is None:
        return
    name = parent.waits_for["steps"][job.id]["name"]
    progress = _measure_progress(parent.waits_for, _list_steps(session, parent), utc_now())
    phase = f"{name}: {job.phase}" if job.phase else name
    reflected = session.exec(
        update(Job)
        .where(col(Job.id) == parent_id, col(Job.status) == JobStatus.RUNNING, col(Job.waits_for).is_not(None))
        .values(progress=progress, phase=phase, updated_at=utc_now())
    ).rowcount
    is_news = data is not None and ("message" in data or _is_ahead(progress, parent.progress))
    if reflected and data is not None and is_news:
        told = {key: data[key] for key in ("epoch", "total_epochs", "metrics") if key in data}
        if "message" in data:
            told["message"] = f"{name}: {data['message']}"
        _add_event(session, parent_id, "progress", {**progress, "phase": phase, **told, "step_job_id": job.id})


def _measure_progress(waits_for: Mapping[str, Any], steps: list[Job], now: datetime) -> dict[str, Any]:
    """The parent's `progress`: its steps' shares of what the whole is expected to cost."""
    done_s, left_s = waits_for["done_s"], waits_for["later_s"]
    expected_s = spent_s = _PACE_PRIOR_S
    for job in steps:
        step = waits_for["steps"][job.id]
        share = 1.0 if job.status in TERMINAL else (job.progress.get("percent") or 0.0) / 100
        done_s += share * step["expected_s"]
        left_s += (1 - share) * step["expected_s"]
        if job.started_at is not None:
            expected_s += share * step["expected_s"]
            spent_s += max(0.0, ((job.finished_at or now) - job.started_at).total_seconds())
    percent = 100 * done_s / (done_s + left_s) if done_s + left_s else None
    return {
        "percent": None if percent is None else round(percent, 1),
        "eta_s": round(left_s * spent_s / expected_s, 1),
        "updated_at": now.isoformat(timespec="milliseconds"),
    }


def _is_ahead(progress: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a whole percent has been won."""
    return int(progress["percent"] or 0) > int(before.get("percent") or 0)


def _go_on(session: Session, job_id: str, *, is_in_vain: bool) -> None:
    """A waiting parent is queued once no step runs any more, or one has failed; cancelled where that was asked."""
    parent = _get(session, job_id)
    if parent.waits_for is None:
        return
    steps = _list_steps(session, parent)
    if parent.cancel_requested:
        # What runs for others goes on without it.
        steps = [step for step in steps if step.parent_job_id == job_id]
    waiting = any(step.status not in TERMINAL for step in steps)
    if waiting and (parent.cancel_requested or not is_in_vain):
        return
    now = utc_now()
    values: dict[str, Any] = {"status": JobStatus.QUEUED, "phase": None}
    if parent.cancel_requested:
        values = {"status": JobStatus.CANCELLED, "finished_at": now}
    session.exec(
        update(Job)
        .where(col(Job.id) == job_id, col(Job.waits_for).is_not(None))
        .values(waits_for=None, updated_at=now, **values)
    )
    if parent.cancel_requested:
        _add_event(session, job_id, JobStatus.CANCELLED, {})
        conclude(session, job_id)
    else:
        _add_event(session, job_id, "resumed", {})


def _stop_children(session: Session, job_id: str) -> None:
    for child in list_children(session, job_id):
        if child.status in TERMINAL:
            continue
        heir = next((waiting_id for waiting_id in _list_waiting(session, child) if waiting_id != job_id), None)
        if heir is None:
            stop_job(session, child.id)
        else:
            session.exec(update(Job).where(col(Job.id) == child.id).values(parent_job_id=heir, updated_at=utc_now()))


def _list_waiting(session: Session, job: Job) -> list[str]:
    """Ids of the jobs that wait for this one and still want it, the oldest first."""
    waiting = select(Job.id).where(
        col(Job.status) == JobStatus.RUNNING,
        col(Job.owner) == job.owner,
        col(Job.waits_for).is_not(None),
        cast(col(Job.waits_for), String).contains(job.id),
    )
    return list(session.exec(waiting.order_by(col(Job.created_at), col(Job.id))).all())


def _list_concerned(session: Session, job: Job) -> list[str]:
    """Ids of the job's parent, whatever that does now, and of the others that wait for it."""
    parent = [] if job.parent_job_id is None else [job.parent_job_id]
    return parent + [waiting_id for waiting_id in _list_waiting(session, job) if waiting_id not in parent]


def _list_steps(session: Session, parent: Job) -> list[Job]:
    """What a waiting parent waits for, the oldest first."""
    query = select(Job).where(col(Job.id).in_((parent.waits_for or {"steps": {}})["steps"]))
    ordered = query.order_by(col(Job.created_at), col(Job.id))
    return list(session.exec(ordered.execution_options(populate_existing=True)).all())


def _tell(session: Session, waiting_id: str, job: Job, event: str, data: Mapping[str, Any]) -> bool:
    """An event of a step in the log of one that it concerns; False where that is gone or has ended."""
    # An update, for its lock: steps that end at the same moment must see one another.
    told = session.exec(
        update(Job).where(col(Job.id) == waiting_id, col(Job.status).not_in(TERMINAL)).values(updated_at=utc_now())
    ).rowcount
    if told:
        parent = _get(session, waiting_id)
        step = ((parent.waits_for or {}).get("steps") or {}).get(job.id, {}).get("name") or job.name
        _add_event(session, parent.id, event, {"step": step, "job_id": job.id, "kind": job.kind, **data})
    return bool(told)


def _add_event(session: Session, job_id: str, event: str, data: Mapping[str, Any]) -> None:
    add_event(session, job_id, _get(session, job_id).attempt, event, data)


def _get(session: Session, job_id: str) -> Job:
    return session.exec(select(Job).where(col(Job.id) == job_id).execution_options(populate_existing=True)).one()
