"""Jobs: submit, follow, cancel, retry, delete."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AfterValidator, AwareDatetime
from sqlmodel import Session
from starlette.responses import JSONResponse, Response, StreamingResponse

from service.bodies import describe_body, parse_body
from service.dependencies import (
    LARGEST_PAGE,
    DatabaseDep,
    FilesDep,
    IdempotencyKeyDep,
    JobId,
    PageSize,
    PageToken,
    ReadSession,
    SettingsDep,
    WriteSession,
)
from service.documents import problems
from service.downloads import is_known
from service.errors import RequestRefused
from service.schemas.jobs import (
    EventList,
    JobAnswer,
    JobList,
    JobResult,
    MetricPoint,
    MetricSeries,
    ResolvedSpec,
    build_artifact,
    build_event,
    build_job,
    build_job_summary,
)
from service.stream import follow_events
from storage.artifacts import list_artifacts
from storage.database import Database
from storage.errors import Conflict, NotFound
from storage.jobs import delete_job, get_job, list_events, list_jobs, list_metrics, request_cancel, submit_job
from storage.models import find_newest_model, get_model
from storage.tables import TERMINAL, Job, JobStatus
from worker.jobs import SPECS
from worker.jobs.base import LATEST_MODEL, JobSpec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_POLL_INTERVAL_S = 0.2
_ACCEPTED_HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}},
}


def _known_kind(kind: str) -> str:
    if kind not in SPECS:
        raise ValueError(f"the kinds are {', '.join(SPECS)}")
    return kind


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment does not exist in UTC") from None


def _parse_label(label: str | None) -> tuple[str, str] | None:
    if label is None:
        return None
    key, separator, value = label.partition("=")
    if not (key and separator and value):
        raise RequestRefused(422, "validation_error", "label: write it as key=value.", pointer="label")
    return key, value


def _resolve_model(session: Session, model_id: str) -> str:
    """The id of the stored model that a spec names. Raises NotFound."""
    if model_id != LATEST_MODEL:
        try:
            return get_model(session, model_id).id
        except NotFound as error:
            raise NotFound(f"model_id: {error.detail}", field="/model_id") from None
    model = find_newest_model(session, "train")
    if model is None:
        raise NotFound("model_id: no train job has succeeded yet; POST one to /v1/jobs/train first", field="/model_id")
    return model.id


def _submit(
    database: Database, spec: JobSpec, key: str | None, validate_only: bool, max_queued: int
) -> tuple[Job | ResolvedSpec, bool]:
    """The job and whether it is new, or what it would have been."""
    sent = spec.model_dump(mode="json", exclude_unset=True)
    resolved = spec.model_dump(mode="json")
    with database.read() if validate_only else database.transaction() as session:
        if resolved.get("model_id") is not None:
            resolved["model_id"] = _resolve_model(session, resolved["model_id"])
        if validate_only:
            return ResolvedSpec(kind=spec.kind, resolved_spec=resolved), False
        return submit_job(
            session,
            spec=sent,
            resolved_spec=resolved,
            kind=spec.kind,
            name=spec.name,
            labels=spec.labels,
            model_id=resolved.get("model_id"),
            max_attempts=spec.max_attempts,
            max_runtime_s=spec.max_runtime_s,
            max_queued=max_queued,
            idempotency=None if key is None else (key, _hash_request(spec.kind, sent)),
        )


def _hash_request(operation: str, body: Any) -> str:
    return hashlib.sha256(json.dumps([operation, body], sort_keys=True).encode()).hexdigest()


def _accepted(job: Job, is_new: bool) -> JSONResponse:
    answer = build_job(job)
    headers = {"Location": answer.links.self, "Retry-After": "1"}
    if not is_new:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(answer.model_dump(mode="json"), status_code=202, headers=headers)


def _add_submit_route(kind: str, spec_type: type[JobSpec]) -> None:
    """One route per kind, so that Swagger shows each its own form and example."""
    spec_from_body = parse_body(spec_type)

    def submit(
        database: DatabaseDep,
        settings: SettingsDep,
        key: IdempotencyKeyDep,
        spec: JobSpec = Depends(spec_from_body),  # noqa: B008  # an annotation could not name a local
        validate_only: Annotated[bool, Query(description="Answer the resolved spec and start nothing.")] = False,
    ) -> Response:
        result, is_new = _submit(database, spec, key, validate_only, settings.max_queued_jobs)
        if isinstance(result, ResolvedSpec):
            return JSONResponse(result.model_dump(mode="json"))
        return _accepted(result, is_new)

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
            202: {"description": "Queued.", "headers": _ACCEPTED_HEADERS},
            **problems(404, 413, 415, 422, 429),
        },
    )


for _kind, _spec_type in SPECS.items():
    _add_submit_route(_kind, _spec_type)


@router.get("", operation_id="list_jobs", summary="List jobs, newest first", responses=problems(422))
def get_job_list(
    session: ReadSession,
    status: JobStatus | None = None,
    kind: Annotated[
        str | None, AfterValidator(lambda kind: kind and _known_kind(kind)), Query(json_schema_extra={"enum": [*SPECS]})
    ] = None,
    label: Annotated[str | None, Query(max_length=150, description="`key=value`")] = None,
    model_id: Annotated[str | None, Query(max_length=50, description="Jobs that started from this model.")] = None,
    created_after: Annotated[
        AwareDatetime | None,
        AfterValidator(lambda moment: moment and _in_utc(moment)),
        Query(description="RFC 3339, such as `2026-11-23T21:00:00Z`."),
    ] = None,
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> JobList:
    """Filters combine. Specs and results are left out: ask for the job itself."""
    page = list_jobs(
        session,
        status=status,
        kind=kind,
        label=_parse_label(label),
        model_id=model_id,
        created_after=created_after,
        page_size=min(page_size, LARGEST_PAGE),
        page_token=page_token,
    )
    return JobList(jobs=[build_job_summary(job) for job in page.items], next_page_token=page.next_page_token)


def _read_job(database: Database, job_id: str) -> tuple[bytes, bool]:
    """The job as JSON, and whether it has ended."""
    with database.read() as session:
        job = get_job(session, job_id)
        return build_job(job).model_dump_json().encode(), job.status in TERMINAL


@router.get(
    "/{job_id}",
    operation_id="get_job",
    summary="Get a job, or wait for it",
    response_model=JobAnswer,
    responses={304: {"description": "As `If-None-Match` knows it."}, **problems(404, 422)},
)
async def get_one_job(
    request: Request,
    job_id: JobId,
    database: DatabaseDep,
    wait_s: Annotated[
        float,
        Query(
            ge=0,
            le=30,
            description="Long poll: answer when the job has ended or, with `If-None-Match`, has changed; "
            "after so many seconds at the latest.",
        ),
    ] = 0,
) -> Response:
    """The job's `status` says how it stands; a failed job is still a 200 and carries its `error`."""
    watches = "if-none-match" in request.headers
    deadline = time.monotonic() + wait_s
    while True:
        body, ended = await anyio.to_thread.run_sync(partial(_read_job, database, job_id))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        known = is_known(request, etag)
        left_s = deadline - time.monotonic()
        if ended or left_s <= 0 or (watches and not known):
            break
        await anyio.sleep(min(_POLL_INTERVAL_S, left_s))
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@router.post(
    "/{job_id}/cancel",
    operation_id="cancel_job",
    summary="Cancel a job",
    response_model=JobAnswer,
    responses={202: {"description": "It is being stopped.", "model": JobAnswer}, **problems(404, 409, 422)},
)
def cancel_job(job_id: JobId, session: WriteSession) -> Response:
    """A waiting job is cancelled at once, a running one is stopped within seconds. To ask again changes nothing."""
    job = request_cancel(session, job_id)
    answer = build_job(job).model_dump(mode="json")
    if job.status == JobStatus.CANCELLED:
        return JSONResponse(answer)
    return JSONResponse(answer, status_code=202, headers={"Retry-After": "1"})


@router.post(
    "/{job_id}/retry",
    operation_id="retry_job",
    summary="Submit a finished job again",
    status_code=202,
    response_model=JobAnswer,
    responses={202: {"description": "Queued.", "headers": _ACCEPTED_HEADERS}, **problems(404, 409, 422, 429)},
)
def retry_job(job_id: JobId, session: WriteSession, settings: SettingsDep, key: IdempotencyKeyDep) -> Response:
    """A new job with the same resolved spec, whatever became of this one."""
    job = get_job(session, job_id)
    if job.status not in TERMINAL:
        raise Conflict(f"the job is {job.status}: only a finished one can be submitted again")
    if job.model_id is not None:
        get_model(session, job.model_id)
    again, is_new = submit_job(
        session,
        spec=job.spec,
        resolved_spec=job.resolved_spec,
        kind=job.kind,
        name=job.name,
        labels=job.labels,
        model_id=job.model_id,
        max_attempts=job.resolved_spec["max_attempts"],
        max_runtime_s=job.max_runtime_s,
        max_queued=settings.max_queued_jobs,
        idempotency=None if key is None else (key, _hash_request("retry", job_id)),
    )
    return _accepted(again, is_new)


@router.delete(
    "/{job_id}",
    operation_id="delete_job",
    summary="Delete a finished job",
    status_code=204,
    responses=problems(404, 409, 422),
)
def remove_job(job_id: JobId, database: DatabaseDep, files: FilesDep) -> None:
    """Removes the job, its models and its artifacts; refused while another job builds on its models."""
    delete_job(database, files, job_id)


@router.get("/{job_id}/events", operation_id="list_events", summary="List a job's events", responses=problems(404, 422))
def get_events(
    job_id: JobId,
    session: ReadSession,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Only events whose `seq` is greater.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EventList:
    """The durable log, oldest first."""
    events = list_events(session, job_id, after, limit)
    return EventList(events=[build_event(event) for event in events], next_after=events[-1].seq if events else after)


@router.get(
    "/{job_id}/stream",
    operation_id="stream_events",
    summary="Follow a job's events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events named by their type, `id` is the event's `seq`; the last is `done` "
            "and carries the job.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(404, 422),
    },
)
async def stream_events(
    job_id: JobId,
    database: DatabaseDep,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Begin behind this `seq`.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**31, description="As `after`, and goes before it.")] = None,
) -> Response:
    """The same log as `events`, live."""
    await anyio.to_thread.run_sync(partial(_read_job, database, job_id))  # a 404 is still possible here
    stream = follow_events(database, job_id, after if last_event_id is None else last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get(
    "/{job_id}/metrics", operation_id="list_metrics", summary="Get a job's series", responses=problems(404, 422)
)
def get_metrics(
    job_id: JobId,
    session: ReadSession,
    name: Annotated[list[str] | None, Query(max_length=50, description="Only these series; may be repeated.")] = None,
    max_points: Annotated[int, Query(ge=2, le=10_000, description="Longer series are thinned evenly.")] = 1000,
) -> MetricSeries:
    """Values per epoch or per step, of the newest attempt."""
    series = list_metrics(session, job_id, name, max_points)
    return MetricSeries(
        series={
            series_name: [MetricPoint(step=point.step, value=point.value) for point in points]
            for series_name, points in series.items()
        }
    )


@router.get(
    "/{job_id}/result",
    operation_id="get_result",
    summary="Get a succeeded job's result",
    responses=problems(404, 409, 422),
)
def get_result(job_id: JobId, session: ReadSession) -> JobResult:
    """Metrics, sparsity, sizes and the files that belong to them; 409 until the job has succeeded."""
    job = get_job(session, job_id)
    if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(f"the job {'failed' if job.error else 'was cancelled'}: it has no result")
    if job.result is None:
        raise Conflict(f"the job is {job.status}: it has no result yet")
    return JobResult(
        job_id=job.id,
        kind=job.kind,
        output_model_id=job.output_model_id,
        result=job.result,
        artifacts=[build_artifact(artifact) for artifact in list_artifacts(session, job_id)],
    )
