"""What probes and Prometheus ask: is the process alive, can it run jobs, and how does everything stand?"""

from __future__ import annotations

import os
import shutil

from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from service.dependencies import DatabaseDep, SettingsDep
from service.errors import build_problem
from service.metrics import METRICS_MEDIA_TYPE, Metrics, Snapshot
from service.openapi import problems
from service.schemas.catalog import Liveness, Readiness
from storage.database import Database
from storage.settings import Settings
from storage.statistics import read_statistics
from storage.workers import list_live_workers

router = APIRouter(tags=["system"])


@router.get("/healthz", operation_id="get_liveness", summary="Is the process alive?")
async def get_liveness() -> Liveness:
    """Touches nothing, not even a thread: a slow disk or a locked database is no reason to restart the process."""
    return Liveness()


def _check_database(database: Database, max_silence_s: float) -> dict[str, str]:
    try:
        with database.read() as session:
            session.execute(text("SELECT 1 FROM job LIMIT 1"))
            workers = list_live_workers(session, max_silence_s)
    except SQLAlchemyError:
        return {"database": "does not answer", "worker": "not known"}
    return {"database": "ok", "worker": "ok" if workers else "none has given a sign of life lately"}


def _check_disk(settings: Settings) -> str:
    try:
        free_bytes = shutil.disk_usage(settings.data_dir).free
    except OSError:
        return "the data directory cannot be read"
    if not os.access(settings.data_dir, os.W_OK):
        return "the data directory cannot be written to"
    wanted = settings.min_free_bytes
    return "ok" if free_bytes >= wanted else f"less than {wanted // 1024**2} MB free"


@router.get("/readyz", operation_id="get_readiness", summary="Can it run jobs?", responses=problems(503))
def get_readiness(request: Request, database: DatabaseDep, settings: SettingsDep) -> Readiness:
    """Database, a worker's heartbeat, and room on the disk; 503 names what is missing."""
    checks = {**_check_database(database, settings.lease_ttl_s), "disk": _check_disk(settings)}
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
def get_metrics(request: Request, database: DatabaseDep, settings: SettingsDep) -> Response:
    """Jobs by kind and status, the queue's age, durations, HTTP latencies. Numbers of all owners together."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.render(_take_snapshot(database, settings)), media_type=METRICS_MEDIA_TYPE)


def _take_snapshot(database: Database, settings: Settings) -> Snapshot:
    """Answers without the database too: that it is gone is what an alert wants to know."""
    try:
        disk = shutil.disk_usage(settings.data_dir)
    except OSError:
        disk = None
    try:
        with database.read() as session:
            statistics = read_statistics(session)
            slots = [worker.slots for worker in list_live_workers(session, settings.lease_ttl_s)]
    except SQLAlchemyError:
        return Snapshot(disk=disk)
    return Snapshot(disk=disk, statistics=statistics, slots=slots)
