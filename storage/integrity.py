"""Rows and files held against each other: what no row names, what a row names in vain, what has rotted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, select

from storage.artifacts import remove_unreferenced
from storage.database import Database, is_sqlite
from storage.errors import CorruptFile, NotFound
from storage.files import FileStore
from storage.tables import Artifact

ORPHAN_GRACE_S = 24 * 3600.0
"""How long a file may lie in the store before a row must name it."""

_BATCH = 100


@dataclass(frozen=True)
class BrokenFile:
    """An artifact whose bytes cannot be had. state: `missing`, or `damaged` where they no longer match their hash."""

    artifact_id: str
    job_id: str
    name: str
    sha256: str
    state: str

    def __str__(self) -> str:
        return f"{self.state}: {self.name} of {self.job_id} ({self.artifact_id}, sha256 {self.sha256})"


def check_database(session: Session) -> list[str]:
    """What SQLite's own checks find wrong: nothing, one hopes. PostgreSQL watches over itself."""
    if not is_sqlite(session):
        return []
    ask = session.connection().exec_driver_sql
    faults = [f"database: {line}" for line in ask("PRAGMA integrity_check").scalars() if line != "ok"]
    return faults + [f"database: a row of {row[0]} refers to nothing" for row in ask("PRAGMA foreign_key_check")]


def list_hashes(session: Session) -> set[str]:
    """Every hash that a row names."""
    return set(session.exec(select(Artifact.sha256).distinct()).all())


def find_broken(session: Session, files: FileStore, *, read_all: bool = False) -> Iterator[BrokenFile]:
    """Artifacts whose file is gone; with `read_all`, also those whose bytes have changed (reads every file once)."""
    states: dict[str, str | None] = {}
    query = select(Artifact.id, Artifact.job_id, Artifact.name, Artifact.sha256)
    for artifact_id, job_id, name, sha256 in session.exec(query.order_by(col(Artifact.id))).all():
        if sha256 not in states:
            states[sha256] = _find_fault(files, sha256, read_all)
        state = states[sha256]
        if state is not None:
            yield BrokenFile(artifact_id, job_id, name, sha256, state)


def find_orphans(session: Session, files: FileStore, grace_s: float) -> list[str]:
    """Hashes of the files that have lain in the store for `grace_s` seconds and that no row names."""
    # The files first: a row that comes while they are listed is seen, and its file was there before it.
    stored = list(files.list_stored(older_than_s=grace_s))
    named = list_hashes(session)
    return [sha256 for sha256 in stored if sha256 not in named]


def sweep_orphans(database: Database, files: FileStore, grace_s: float = ORPHAN_GRACE_S) -> list[str]:
    """Removes the orphans and returns their hashes. Whoever publishes one at this moment stores it again first."""
    with database.read() as session:
        orphans = find_orphans(session, files, grace_s)
    for start in range(0, len(orphans), _BATCH):
        with database.transaction() as session:
            remove_unreferenced(session, files, orphans[start : start + _BATCH])
    return orphans


def _find_fault(files: FileStore, sha256: str, read_all: bool) -> str | None:
    if not files.has(sha256):
        return "missing"
    if read_all:
        try:
            files.verify(sha256)
        except CorruptFile:
            return "damaged"
        except NotFound:
            return "missing"
    return None
