"""Removes what dead attempts left on the disk, and tells what is missing there."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from storage.database import Database
from storage.files import FileStore
from storage.integrity import find_broken, sweep_orphans
from storage.settings import Settings
from storage.tables import TERMINAL, Job, JobStatus

log = logging.getLogger(__name__)


def sweep_folders(settings: Settings, database: Database) -> None:
    """Removes staging folders of attempts that are over, and scratch folders of jobs that have ended."""
    # Listed before the rows are read: an attempt's row is there before its folder.
    staging = _list_folders(settings.data_dir / "staging")
    scratch = _list_folders(settings.data_dir / "scratch")
    with database.read() as session:
        for folder in staging:
            job_id, _, attempt = folder.name.rpartition("-")
            job = session.get(Job, job_id)
            if job is None or str(job.attempt) != attempt or job.status in (*TERMINAL, JobStatus.QUEUED):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in scratch:
            job = session.get(Job, folder.name)
            if job is None or job.status in TERMINAL:
                shutil.rmtree(folder, ignore_errors=True)
    FileStore(settings).sweep_temporary()


def sweep_files(settings: Settings, database: Database) -> None:
    """Removes files that no row names. A row whose file is gone stays, for its hash says what to look for elsewhere."""
    files = FileStore(settings)
    orphans = sweep_orphans(database, files)
    if orphans:
        log.info("removed %d file(s) that no row named", len(orphans))
    with database.read() as session:
        for broken in find_broken(session, files):
            log.error("a stored file is %s; a backup may hold it", broken)


def _list_folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
