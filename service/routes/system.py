"""The service itself: its settings, versions, workers, queue and disk."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Request
from sqlmodel import Session

from service.dependencies import DatabaseDep, ReadSession, SettingsDep
from service.schemas.catalog import DiskAnswer, SystemAnswer, WorkerAnswer
from storage.jobs import has_job
from storage.settings import Settings
from storage.statistics import count_jobs
from storage.tables import WorkerNode
from storage.workers import list_live_workers

router = APIRouter(tags=["system"])

_PACKAGES = ("fastapi", "pydantic", "sqlmodel", "uvicorn", "torch", "torchvision")


def _show_settings(settings: Settings) -> dict[str, Any]:
    """Settings without secrets: no password leaves, not even one inside a URL."""
    shown = settings.model_dump(mode="json", exclude={"database_url"})
    shown["dataset_dir"] = str(settings.resolved_dataset_dir)
    shown["threads_per_slot"] = settings.resolved_threads_per_slot
    shown["max_job_bytes"] = settings.resolved_max_job_bytes
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
def get_system(request: Request, session: ReadSession, database: DatabaseDep, settings: SettingsDep) -> SystemAnswer:
    """What runs here, with which settings, and how much room there is."""
    now = database.now()
    workers = [
        WorkerAnswer(**_show_worker(session, node), silent_s=round(max(0.0, now - node.heartbeat_at), 3))
        for node in list_live_workers(session, settings.lease_ttl_s)
    ]
    disk = shutil.disk_usage(settings.data_dir)
    return SystemAnswer(
        settings=_show_settings(settings),
        versions={"tonok": request.app.version, "python": platform.python_version()}
        | {package: _find_version(package) for package in _PACKAGES},
        workers=workers,
        slots=sum(node.slots for node in workers),
        jobs={status.value: count for status, count in count_jobs(session).items()},
        disk=DiskAnswer(total_bytes=disk.total, free_bytes=disk.free),
    )
