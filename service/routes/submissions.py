"""How a job begins: one route per kind, and the retry of a finished one."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from sqlmodel import Session
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.access import Caller
from service.bodies import describe_body, parse_body
from service.dependencies import (
    LATEST,
    CallerDep,
    IdempotencyKey,
    SettingsDep,
    ShownJobId,
    WriteSession,
    check_room,
    get_latest_model,
)
from service.errors import RequestRefused
from service.group_commit import Write
from service.openapi import problems
from service.schemas.jobs import JobAnswer, ResolvedSpec, build_job
from storage.artifacts import hand_on_uploads
from storage.datasets import get_dataset
from storage.errors import Conflict, InvalidSpec, NotFound, NotMeasured
from storage.jobs import get_job, submit_job
from storage.models import get_model
from storage.references import check_references
from storage.settings import Settings
from storage.steps import START_FIELDS, compute_step_hash
from storage.tables import TERMINAL, Job
from worker.dataset_refs import is_stored
from worker.job_spec import LATEST_MODEL, JobSpec, UploadSpec
from worker.jobs import POSTED_SPECS, check_memory, parse_stored_spec
from worker.memory_estimate import MemoryEstimate

_log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

ACCEPTED_HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}},
}


def _resolve_model(session: Session, spec: JobSpec, field: str, model_id: str) -> str:
    """The id of the stored model that a spec names. Raises NotFound, Conflict for one that it cannot start from, and
    NotMeasured for one that only a training can start from.
    """
    if model_id == LATEST_MODEL:
        named = get_latest_model(session, f"/{field}")
    else:
        try:
            named = get_model(session, model_id)
        except NotFound as error:
            raise NotFound(f"{field}: {error.detail}", field=f"/{field}") from None
    if (reason := spec.refuse_start(named.summary)) is not None:
        raise Conflict(f"{field}: {reason}", field=f"/{field}")
    if spec.compares_accuracy and named.summary.get("not_measured") is not None:
        raise NotMeasured(
            f"{field}: this model was measured on no data set, so that no drop can be told: fine-tune it first "
            "(a train job with initial_model_id and dataset)",
            field=f"/{field}",
        )
    return named.id


def _plan(spec: JobSpec, key: str | None, request_id: str, settings: Settings) -> Write:
    """What puts the job into the queue. Raises TooMuchMemory, NotMeasured, RequestRefused when called."""
    sent = spec.model_dump(mode="json", exclude_unset=True)
    dumped = spec.model_dump(mode="json")

    def write(session: Session) -> tuple[Job, bool]:
        resolved = _resolve(session, spec, dumped)
        check_references(session, resolved)
        _check_facts(session, spec, resolved, settings)
        step_hash = compute_step_hash(session, resolved, spec.version)
        return submit_spec(session, spec, sent, resolved, settings, request_id, (key, sent), step_hash)

    return write


def submit_spec(
    session: Session,
    spec: JobSpec,
    sent: Mapping[str, Any],
    resolved: Mapping[str, Any],
    settings: Settings,
    request_id: str | None,
    once: tuple[str | None, Any],
    step_hash: str | None = None,
) -> tuple[Job, bool]:
    """Queues the job of a spec; returns it and whether it is new.

    sent: what the client gave of it. once: the client's key, and what must be the same where it comes again.
    """
    key, body = once
    return submit_job(
        session,
        spec=sent,
        resolved_spec=resolved,
        kind=spec.kind,
        name=spec.name,
        labels=spec.labels,
        model_id=_find_start(resolved),
        max_attempts=spec.max_attempts,
        max_runtime_s=spec.max_runtime_s,
        max_queued=settings.max_queued_jobs,
        step_hash=step_hash,
        idempotency=None if key is None else (key, hash_request(spec.kind, body)),
        request_id=request_id,
    )


def _resolve(session: Session, spec: JobSpec, dumped: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with every default, and `latest` replaced by what it means now. Raises NotFound, Conflict, NotMeasured."""
    named = {field: dumped[field] for field in START_FIELDS if dumped.get(field) is not None}
    return {**dumped, **{field: _resolve_model(session, spec, field, model_id) for field, model_id in named.items()}}


def _find_start(resolved: Mapping[str, Any]) -> str | None:
    """The stored model that a job starts from."""
    return next((resolved[field] for field in START_FIELDS if resolved.get(field) is not None), None)


def _check_facts(
    session: Session, spec: JobSpec, resolved: Mapping[str, Any], settings: Settings
) -> MemoryEstimate | None:
    """What the job will hold, as far as can be told. Raises TooMuchMemory, and RequestRefused where the network that is
    named cannot read the pictures of a data set that somebody brought, or these do not allow what is asked for.
    """

    def describe(name: str) -> Mapping[str, Any]:
        if is_stored(name):
            return get_dataset(session, name).summary
        return get_model(session, (_find_start(resolved) or "") if name == LATEST else name).summary

    try:
        spec.check_facts(describe)
        return check_memory(spec, describe, settings.resolved_max_job_bytes)
    except InvalidSpec as error:
        raise RequestRefused(422, "validation_error", error.detail, pointer=error.field or "") from None


def _validate_only(request: Request, spec: JobSpec) -> Response:
    """What the job would be. Raises DiskFull and TooMuchMemory, as submitting it would."""
    request.app.state.files.room.check()
    caller: Caller = request.state.caller
    with request.app.state.database.read(caller.owner) as session:
        resolved = _resolve(session, spec, spec.model_dump(mode="json"))
        check_references(session, resolved)
        estimate = _check_facts(session, spec, resolved, request.app.state.settings)
    answer = ResolvedSpec(
        kind=spec.kind,
        resolved_spec=resolved,
        estimated_memory_bytes=None if estimate is None else estimate.num_bytes,
    )
    return JSONResponse(answer.model_dump(mode="json"))


def hash_request(operation: str, body: Any) -> str:
    """What an Idempotency-Key is held against: all that was asked for."""
    return hashlib.sha256(json.dumps([operation, body], sort_keys=True).encode()).hexdigest()


def accept_job(job: Job, is_new: bool) -> Response:
    """202, and where to follow the job."""
    if is_new:
        _log.info("%s (%s) of %s is queued", job.id, job.kind, job.owner)
    answer = build_job(job)
    headers = {"Location": answer.links.self, "Retry-After": "1"}
    if not is_new:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.model_dump_json(), status_code=202, headers=headers, media_type="application/json")


def refuse_method() -> None:
    """405: the path of a kind takes POST alone."""
    raise HTTPException(405)


def _add_submit_route(kind: str, spec_type: type[JobSpec]) -> None:
    """One route per kind, so that Swagger shows each its own form and example."""
    read_spec = parse_body(spec_type)

    # All by hand, and no thread of its own: see docs/decisions/intake.md.
    async def submit(
        request: Request,
        validate_only: Annotated[bool, Query(description="Answer the resolved spec and start nothing.")] = False,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        spec = await read_spec(request)
        if validate_only:
            return await anyio.to_thread.run_sync(_validate_only, request, spec)
        state, caller = request.app.state, request.state.caller
        write = _plan(spec, idempotency_key, caller.request_id, state.settings)
        return accept_job(*await state.group_commit.submit(caller.owner, write))

    # Without this a GET would look for a job of this name.
    router.add_api_route(f"/{kind}", refuse_method, methods=["GET", "DELETE"], include_in_schema=False)
    router.add_api_route(
        f"/{kind}",
        submit,
        methods=["POST"],
        operation_id=f"submit_{kind}",
        name=f"submit_{kind}",
        summary=f"Submit a {kind} job",
        description=spec_type.__doc__,
        status_code=202,
        response_model=JobAnswer,
        openapi_extra=describe_body(spec_type),
        responses={
            200: {
                "description": "`validate_only`: what the job would be.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ResolvedSpec"}}},
            },
            202: {"description": "Queued.", "headers": ACCEPTED_HEADERS},
            **problems(404, 408, 409, 413, 415, 422, 429, 507),
        },
    )


for _kind, _spec_type in POSTED_SPECS.items():
    _add_submit_route(_kind, _spec_type)


@router.post(
    "/{job_id}/retry",
    operation_id="retry_job",
    summary="Submit a finished job again",
    status_code=202,
    response_model=JobAnswer,
    responses={202: {"description": "Queued.", "headers": ACCEPTED_HEADERS}, **problems(404, 409, 422, 429, 507)},
    dependencies=[Depends(check_room)],
)
def retry_job(
    job_id: ShownJobId,
    session: WriteSession,
    settings: SettingsDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new job with the same resolved spec, whatever became of this one."""
    job = get_job(session, job_id)
    if job.status not in TERMINAL:
        raise Conflict(f"the job is {job.status}: only a finished one can be submitted again")
    check_references(session, job.resolved_spec)
    try:
        # Of an older version's spec the hash is that of what will run; the spec itself stays as it was accepted.
        spec = parse_stored_spec(job.resolved_spec).spec
    except InvalidSpec as error:
        raise Conflict(f"the job cannot be run again: {error.detail}", field=error.field) from error
    again, is_new = submit_job(
        session,
        spec=job.spec,
        resolved_spec=job.resolved_spec,
        kind=job.kind,
        name=job.name,
        labels=job.labels,
        model_id=job.model_id,
        max_attempts=spec.max_attempts,
        max_runtime_s=job.max_runtime_s,
        max_queued=settings.max_queued_jobs,
        # What came with a file says too little about itself to be reused.
        step_hash=None
        if isinstance(spec, UploadSpec)
        else compute_step_hash(session, spec.model_dump(mode="json"), spec.version),
        idempotency=None if idempotency_key is None else (idempotency_key, hash_request("retry", job_id)),
        request_id=caller.request_id,
    )
    if is_new:
        hand_on_uploads(session, job_id, again.id)
    return accept_job(again, is_new)


@router.post("/{kind}", include_in_schema=False)
def refuse_unknown_kind(kind: str) -> None:
    """Behind the kinds that there are. To a job's own path there is no POST, to any other name no kind."""
    if kind.startswith("job_") or kind == LATEST:
        raise HTTPException(405)
    near = difflib.get_close_matches(kind, POSTED_SPECS, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"The kinds are {', '.join(POSTED_SPECS)}."
    raise NotFound(f"There is no such kind of job. {hint}")
