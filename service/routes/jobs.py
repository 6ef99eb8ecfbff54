"""Jobs: submit, follow, cancel, retry, delete."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from service.access import RECHECK_S, end_with_key, refuse_revoked, still_holds
from service.dependencies import (
    LARGEST_PAGE,
    CallerDep,
    DatabaseDep,
    FilesDep,
    FoundJobId,
    IdFilter,
    PageSize,
    PageToken,
    ReadSession,
    ShownJobId,
    WriterTurn,
    WriteSession,
)
from service.downloads import is_known
from service.middleware import is_head
from service.openapi import IF_NONE_MATCH, problems
from service.rate_limits import OpenRequests
from service.schemas.jobs import (
    AnyJobResult,
    EventList,
    JobAnswer,
    JobList,
    JobResult,
    MetricPoint,
    MetricSeries,
    build_artifact,
    build_event,
    build_job,
    build_job_summary,
)
from service.stream import EventFeed, tell_failure
from storage.artifacts import list_artifacts
from storage.database import Database
from storage.errors import Conflict
from storage.jobs import delete_job, get_job, list_events, list_jobs, list_metrics, request_cancel
from storage.tables import TERMINAL, JobStatus
from worker.jobs import SPECS

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

SeriesName = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=100)]

_POLL_INTERVAL_S = 0.2
_LABEL = r"^[a-z0-9_.-]{1,40}=[^\x00-\x1f\x7f]+$"
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


JobKindName = StrEnum("JobKindName", {kind.upper(): kind for kind in SPECS})  # type: ignore[misc]  # grows by itself


def _check_rfc_3339(moment: str | None) -> str | None:
    # pydantic would take a number for seconds since 1970, and a day for its midnight.
    if moment is not None and _RFC_3339.fullmatch(moment) is None:
        raise ValueError("write it as RFC 3339 with an offset, such as 2026-11-23T21:00:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment does not exist in UTC") from None


def _parse_label(label: str | None) -> tuple[str, str] | None:
    if label is None:
        return None
    key, _, value = label.partition("=")
    return key, value


@router.get(
    "",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    response_model=JobList,
    responses=problems(422),
)
def get_job_list(
    session: ReadSession,
    status: JobStatus | None = None,
    kind: JobKindName | None = None,
    label: Annotated[str | None, Query(pattern=_LABEL, max_length=150, description="`key=value`")] = None,
    model_id: Annotated[IdFilter, Query(description="Jobs that started from this model.")] = None,
    parent_job_id: Annotated[IdFilter, Query(description="Steps of this job.")] = None,
    created_after: Annotated[
        AwareDatetime | None,
        BeforeValidator(_check_rfc_3339),
        AfterValidator(lambda moment: moment and _in_utc(moment)),
        Query(description="RFC 3339, such as `2026-11-23T21:00:00Z`."),
    ] = None,
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> Response:
    """Filters combine. Specs and results are left out: ask for the job itself."""
    page = list_jobs(
        session,
        status=status,
        kind=kind,
        label=_parse_label(label),
        model_id=model_id,
        parent_job_id=parent_job_id,
        created_after=created_after,
        page_size=min(page_size, LARGEST_PAGE),
        page_token=page_token,
    )
    answer = JobList(jobs=[build_job_summary(job) for job in page.items], next_page_token=page.next_page_token)
    # Not handed to FastAPI, which would check every field of every row a second time.
    return Response(answer.model_dump_json(), media_type="application/json")


def _read_job(database: Database, owner: str, job_id: str) -> tuple[bytes, bool]:
    """The job as JSON, and whether it has ended."""
    with database.read(owner) as session:
        job = get_job(session, job_id)
        return build_job(job).model_dump_json().encode(), job.status in TERMINAL


@router.get(
    "/{job_id}",
    operation_id="get_job",
    summary="Get a job, or wait for it",
    response_model=JobAnswer,
    responses={
        200: {"headers": {"ETag": {"description": "Of this state of the job.", "schema": {"type": "string"}}}},
        304: {"description": "As `If-None-Match` knows it."},
        **problems(404, 422, 429),
    },
    openapi_extra={"parameters": [IF_NONE_MATCH]},
)
async def get_one_job(
    request: Request,
    job_id: ShownJobId,
    database: DatabaseDep,
    caller: CallerDep,
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
    open_streams: OpenRequests = request.app.state.open_streams
    checked_at = time.monotonic()
    deadline = checked_at + wait_s
    with open_streams.hold(caller.owner) if wait_s > 0 else nullcontext():
        while True:
            body, ended = await anyio.to_thread.run_sync(partial(_read_job, database, caller.owner, job_id))
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            known = is_known(request, etag)
            left_s = deadline - time.monotonic()
            if ended or left_s <= 0 or (watches and not known):
                break
            if await request.is_disconnected():  # nobody reads it: the slot is for who waits
                break
            if time.monotonic() - checked_at >= RECHECK_S:
                if not await still_holds(database, caller):
                    raise refuse_revoked()
                checked_at = time.monotonic()
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
def cancel_job(job_id: FoundJobId, session: WriteSession) -> Response:
    """A waiting job is cancelled at once, a running one is stopped within seconds. To ask again changes nothing."""
    job = request_cancel(session, job_id)
    answer = build_job(job).model_dump(mode="json")
    if job.status == JobStatus.CANCELLED:
        return JSONResponse(answer)
    return JSONResponse(answer, status_code=202, headers={"Retry-After": "1"})


@router.delete(
    "/{job_id}",
    operation_id="delete_job",
    summary="Delete a finished job",
    status_code=204,
    responses=problems(404, 409, 422),
)
def remove_job(
    job_id: FoundJobId, database: DatabaseDep, files: FilesDep, caller: CallerDep, _turn: WriterTurn
) -> None:
    """Removes the job, its steps, their models and artifacts; refused while another job builds on them."""
    delete_job(database, files, job_id, caller.owner)


@router.get("/{job_id}/events", operation_id="list_events", summary="List a job's events", responses=problems(404, 422))
def get_events(
    job_id: ShownJobId,
    session: ReadSession,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Only events whose `seq` is greater.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EventList:
    """The durable log, oldest first."""
    events = list_events(session, job_id, after, limit)
    return EventList(events=[build_event(event) for event in events], next_after=events[-1].seq if events else after)


async def _count_stream(request: Request, caller: CallerDep) -> AsyncIterator[None]:
    # A dependency, as its end comes however a stream ends: a generator that nobody began to read has none.
    open_streams: OpenRequests = request.app.state.open_streams
    with open_streams.hold(caller.owner):
        yield


@router.get(
    "/{job_id}/stream",
    operation_id="stream_events",
    summary="Follow a job's events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events named by their type, `id` is the event's `seq`; the last is `done` "
            "and carries the job, or `unavailable` and carries a problem: come again with `Last-Event-ID`.",
            "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/StreamedEvent"}}},
        },
        **problems(404, 422, 429),
    },
    dependencies=[Depends(_count_stream)],
)
async def stream_events(
    request: Request,
    job_id: ShownJobId,
    database: DatabaseDep,
    caller: CallerDep,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Begin behind this `seq`.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**31, description="As `after`, and goes before it.")] = None,
) -> Response:
    """The same log as `events`, live."""
    await anyio.to_thread.run_sync(partial(_read_job, database, caller.owner, job_id))  # a 404 is still possible here
    if is_head(request):
        return _answer_stream(iter(()))
    feed: EventFeed = request.app.state.feed
    frames = feed.follow(caller.owner, job_id, after if last_event_id is None else last_event_id)
    return _answer_stream(tell_failure(end_with_key(frames, database, caller)))


def _answer_stream(frames: AsyncIterator[bytes] | Iterator[bytes]) -> Response:
    return EventSourceResponse(frames, headers={"X-Accel-Buffering": "no"})


@router.get(
    "/{job_id}/metrics", operation_id="list_metrics", summary="Get a job's series", responses=problems(404, 422)
)
def get_metrics(
    job_id: ShownJobId,
    session: ReadSession,
    name: Annotated[
        list[SeriesName] | None, Query(max_length=50, description="Only these series; may be repeated.")
    ] = None,
    max_points: Annotated[int, Query(ge=2, le=10_000, description="Longer series are thinned evenly.")] = 1000,
) -> MetricSeries:
    """Values per epoch or per step. An attempt that goes on where an earlier one was killed continues its series."""
    series = list_metrics(session, job_id, name, max_points)
    return MetricSeries(
        series={
            series_name: [MetricPoint.model_validate(point) for point in points]
            for series_name, points in series.items()
        }
    )


@router.get(
    "/{job_id}/result",
    operation_id="get_result",
    summary="Get a succeeded job's result",
    response_model=AnyJobResult,
    responses=problems(404, 409, 422),
)
def get_result(job_id: ShownJobId, session: ReadSession) -> Response:
    """Metrics, sparsity, sizes and the files that belong to them; 409 until the job has succeeded."""
    job = get_job(session, job_id)
    if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(f"the job {'failed' if job.error else 'was cancelled'}: it has no result")
    if job.result is None:
        raise Conflict(f"the job is {job.status}: it has no result yet")
    found = JobResult(
        job_id=job.id,
        kind=job.kind,
        output_model_id=job.output_model_id,
        result=job.result,
        artifacts=[build_artifact(artifact) for artifact in list_artifacts(session, job_id)],
    )
    return JSONResponse(found.model_dump(mode="json"))
