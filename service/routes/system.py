"""The service itself: settings, health, Prometheus."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.responses import RedirectResponse, Response

from service.dependencies import DatabaseDep, ReadSession, SettingsDep
from service.documents import problems
from service.errors import build_problem
from service.metrics import METRICS_MEDIA_TYPE, Metrics
from service.schemas.catalog import DiskAnswer, Liveness, Readiness, SystemAnswer, WorkerAnswer
from storage.database import Database
from storage.jobs import has_job, queue_counts
from storage.settings import Settings
from storage.tables import WorkerNode
from storage.workers import list_live_workers

router = APIRouter(tags=["system"])

_PACKAGES = ("fastapi", "pydantic", "sqlmodel", "uvicorn", "torch", "torchvision")
_MIN_FREE_BYTES = 100 * 1024**2


def _show_settings(settings: Settings) -> dict[str, Any]:
    """Settings without secrets: no password leaves, not even one inside a URL."""
    shown = settings.model_dump(mode="json", exclude={"database_url"})
    shown["dataset_dir"] = str(settings.resolved_dataset_dir)
    shown["threads_per_slot"] = settings.resolved_threads_per_slot
    shown["database"] = urlsplit(settings.resolved_database_url).scheme.split("+")[0]
    if settings.dataset_mirror is not None:
        parts = urlsplit(settings.dataset_mirror)
        shown["dataset_mirror"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    return shown


def _show_worker(session: Session, node: WorkerNode) -> dict[str, Any]:
    """The row, with those of its running jobs that the caller may know of."""
    info = dict(node.info)
    if "jobs" in info:
        info["jobs"] = [job_id for job_id in info["jobs"] if has_job(session, job_id)]
    return node.model_dump() | {"info": info}


def _find_version(package: str) -> str | None:
    """The installed version, from its metadata: nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@router.get("/v1/system", operation_id="get_system", summary="Get settings, versions, workers, queue and disk")
def get_system(session: ReadSession, database: DatabaseDep, settings: SettingsDep) -> SystemAnswer:
    """What runs here, with which settings, and how much room there is."""
    now = database.now()
    workers = [
        WorkerAnswer(**_show_worker(session, node), silent_s=round(max(0.0, now - node.heartbeat_at), 3))
        for node in list_live_workers(session, settings.lease_ttl_s)
    ]
    disk = shutil.disk_usage(settings.data_dir)
    return SystemAnswer(
        settings=_show_settings(settings),
        versions={"python": platform.python_version()} | {package: _find_version(package) for package in _PACKAGES},
        workers=workers,
        slots=sum(node.slots for node in workers),
        jobs={status.value: count for status, count in queue_counts(session).items()},
        disk=DiskAnswer(total_bytes=disk.total, free_bytes=disk.free),
    )


@router.get("/healthz", operation_id="get_liveness", summary="Is the process alive?")
def get_liveness() -> Liveness:
    """Touches nothing: a slow disk or a locked database is no reason to restart the process."""
    return Liveness()


def _check_database(database: Database, max_silence_s: float) -> dict[str, str]:
    try:
        with database.read() as session:
            session.execute(text("SELECT 1 FROM job LIMIT 1"))
            workers = list_live_workers(session, max_silence_s)
    except SQLAlchemyError:
        return {"database": "does not answer", "worker": "not known"}
    return {"database": "ok", "worker": "ok" if workers else "none has given a sign of life lately"}


@router.get("/readyz", operation_id="get_readiness", summary="Can it run jobs?", responses=problems(503))
def get_readiness(request: Request, database: DatabaseDep, settings: SettingsDep) -> Readiness:
    """Database, a worker's heartbeat, and room on the disk; 503 names what is missing."""
    checks = _check_database(database, settings.lease_ttl_s)
    has_room = shutil.disk_usage(settings.data_dir).free >= _MIN_FREE_BYTES
    checks["disk"] = "ok" if has_room else f"less than {_MIN_FREE_BYTES // 1024**2} MB free"
    wrong = {name: finding for name, finding in checks.items() if finding != "ok"}
    if wrong:
        items = [{"pointer": name, "code": "not_ready", "detail": finding} for name, finding in wrong.items()]
        detail = "; ".join(f"{name}: {finding}" for name, finding in wrong.items())
        return build_problem(request, 503, "not_ready", detail, items)  # type: ignore[return-value]  # a Response passes
    return Readiness(checks=checks)


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
)
def get_metrics(request: Request, database: DatabaseDep) -> Response:
    """Jobs by kind and status, the queue's age, durations, HTTP latencies. Numbers of all owners together."""
    metrics: Metrics = request.app.state.metrics
    with database.read() as session:
        return Response(metrics.render(session), media_type=METRICS_MEDIA_TYPE)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def get_start() -> RedirectResponse:
    """The documentation is where to begin."""
    return RedirectResponse("/docs")
