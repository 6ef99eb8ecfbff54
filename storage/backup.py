"""A consistent copy of the database and of the files that it names, taken while the service runs; and the way back.

A backup is a folder: `tonok.db`, `files/` as in the data directory, and `manifest.json`. It has its name only once it
is whole. Nothing of jobs that run is in it but their rows: restored, they are queued again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete
from sqlalchemy.engine import make_url

from storage.attempts import list_leases, release_job
from storage.database import Database, load_sqlite
from storage.errors import CorruptFile, NotFound
from storage.files import FileStore, fsync_folder
from storage.integrity import list_hashes
from storage.settings import Settings
from storage.tables import WorkerNode, utc_now
from storage.workers import list_live_workers

_DATABASE = "tonok.db"
_MANIFEST = "manifest.json"
_RESTORING = ".restoring"
_PLACING = ".restoring.placing"
_KEPT = {"datasets", "lost+found"}
"""What may lie in a folder that is restored into: it is in no backup, or the file system put it there."""
_MAX_SNAPSHOTS = 10
_LISTED = 10


class BackupFailed(Exception):
    """`str(error)` tells the user what is wrong and what to do."""


class Manifest(BaseModel):
    """What a backup holds. `broken`: hashes of files that were gone or damaged in the service already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    created_at: datetime
    schema_revision: str
    database_sha256: str
    num_jobs: int
    num_files: int
    num_bytes: int
    broken: tuple[str, ...] = ()


def create_backup(settings: Settings, destination: Path) -> Manifest:
    """Copies everything to a new folder; the service may run and jobs may end meanwhile. Raises BackupFailed."""
    source = _get_sqlite_path(settings)
    if not source.is_file():
        raise BackupFailed(f"there is no database at {source}: nothing to back up")
    if destination.exists():
        raise BackupFailed(f"{destination} is there already: a backup never overwrites anything")
    partial = destination.with_name(f"{destination.name}.partial")
    try:
        partial.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise BackupFailed(f"{partial} is there: another backup runs, or one was interrupted; then remove it") from None
    database = Database(settings)
    try:
        broken = _copy_snapshot(database, FileStore(settings), partial)
        manifest = _describe(partial, broken)
        (partial / _MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _fsync_all(partial)
        partial.rename(destination)
        fsync_folder(destination.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        database.dispose()
    return manifest


def verify_backup(source: Path) -> Manifest:
    """Reads every byte of a backup. Raises BackupFailed, which lists what is wrong."""
    manifest = _read_manifest(source)
    path = source / _DATABASE
    if not path.is_file() or _hash(path) != manifest.database_sha256:
        raise BackupFailed(f"{path} is not the database that the manifest describes")
    _check_database(path)
    files = FileStore(_locate(source))
    _refuse_broken(source, _find_unreadable(files, set(_query(path, "SELECT DISTINCT sha256 FROM artifact"))), manifest)
    return manifest


def restore_backup(settings: Settings, source: Path) -> Manifest:
    """Fills an empty data directory from a backup, every hash checked on the way. Raises BackupFailed.

    Jobs that ran at the moment of the backup are queued again, which costs them none of their attempts. Killed at
    any point and called again, it begins anew, or has nothing left to do.
    """
    manifest = _read_manifest(source)
    target = _get_sqlite_path(settings)
    working, beside = settings.data_dir / _RESTORING, target.with_name(f"{target.name}{_RESTORING}")
    if _is_placed(settings, target, manifest):
        _tidy(settings, beside)
        return manifest
    _refuse_occupied(settings, target)
    _clear_interrupted(settings)
    working.mkdir(mode=0o700, parents=True)
    try:
        shutil.copyfile(source / _DATABASE, working / _DATABASE)
        if _hash(working / _DATABASE) != manifest.database_sha256:
            raise BackupFailed(f"{source / _DATABASE} is not the database that the manifest describes")
        _check_database(working / _DATABASE)
        hashes = set(_query(working / _DATABASE, "SELECT DISTINCT sha256 FROM artifact"))
        unreadable = _copy_files(FileStore(_locate(source)), hashes, FileStore(_locate(working)))
        _refuse_broken(source, unreadable, manifest)
        _give_back_jobs(_locate(working))
        (working / "files").mkdir(exist_ok=True)
        # The database may lie on another disk than the files.
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(working / _DATABASE, beside)
        _fsync_file(beside)
    except BaseException:
        beside.unlink(missing_ok=True)
        shutil.rmtree(working, ignore_errors=True)
        raise
    _place(settings, beside, target, manifest)
    return manifest


# --- the copy


def _copy_snapshot(database: Database, files: FileStore, partial: Path) -> tuple[str, ...]:
    """Copies rows and files that belong together; returns the hashes of files that cannot be had."""
    copies = FileStore(_locate(partial))
    for _ in range(_MAX_SNAPSHOTS):
        (partial / _DATABASE).unlink(missing_ok=True)
        with closing(database.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA query_only=OFF")
            try:
                # One read transaction, which holds up nobody in WAL mode, and leaves a single file without a log.
                connection.cursor().execute("VACUUM INTO ?", (str(partial / _DATABASE),))
            except load_sqlite().Error as error:
                raise BackupFailed(f"the database could not be copied: {error}") from error
        hashes = set(_query(partial / _DATABASE, "SELECT DISTINCT sha256 FROM artifact"))
        unreadable = _copy_files(files, hashes, copies)
        with database.read() as session:
            named = list_hashes(session)
        # A file whose job was deleted since the snapshot is no longer named, or is named and whole again where another
        # job has stored the same bytes meanwhile. Take another snapshot then.
        broken = _find_unreadable(files, unreadable & named)
        if broken == unreadable:
            for sha256 in set(copies.list_stored()) - hashes:
                copies.remove(sha256)
            return tuple(sorted(broken))
    raise BackupFailed("jobs are deleted faster than their files can be copied: try again in a quieter moment")


def _copy_files(source: FileStore, hashes: Collection[str], target: FileStore) -> set[str]:
    """Copies what is not there yet; returns the hashes whose bytes cannot be had."""
    unreadable = set()
    for sha256 in hashes:
        if target.has(sha256):
            continue
        try:
            copied = target.put(source.path(sha256)).sha256
        except FileNotFoundError:
            unreadable.add(sha256)
            continue
        # The store names a file by what it has read: another name means that the source has rotted.
        if copied != sha256:
            unreadable.add(sha256)
            if copied not in hashes:  # a file cut to nothing has the bytes of every empty one
                target.remove(copied)
    return unreadable


def _give_back_jobs(settings: Settings) -> None:
    """Brings the schema up to date, and frees the jobs from workers that are not here."""
    database = Database(settings)
    try:
        database.create()
        with database.transaction() as session:
            for lease in list_leases(session):
                release_job(session, lease)
            session.exec(delete(WorkerNode))
    finally:
        database.dispose()  # the last connection also takes the write-ahead log along


def _place(settings: Settings, beside: Path, target: Path, manifest: Manifest) -> None:
    """The last steps. Before the first, a mark tells what is ours in the folder; it goes when all else is done."""
    mark = settings.data_dir / _PLACING
    mark.write_text(f"{manifest.database_sha256} {_hash(beside)}", encoding="ascii")
    _fsync_file(mark)
    fsync_folder(settings.data_dir)
    (settings.data_dir / _RESTORING / "files").rename(settings.data_dir / "files")
    fsync_folder(settings.data_dir)
    try:
        os.link(beside, target)  # unlike a rename, it never replaces what somebody has put there meanwhile
    except FileExistsError:
        _tidy(settings, beside)
        raise BackupFailed(f"{target} has appeared meanwhile: was a service started here?") from None
    fsync_folder(target.parent)
    _tidy(settings, beside)


def _tidy(settings: Settings, beside: Path) -> None:
    beside.unlink(missing_ok=True)
    shutil.rmtree(settings.data_dir / _RESTORING, ignore_errors=True)
    (settings.data_dir / _PLACING).unlink(missing_ok=True)


def _is_placed(settings: Settings, target: Path, manifest: Manifest) -> bool:
    """Whether a restore of this backup was killed when all was done but to tidy up, and nothing has run since."""
    try:
        backup, placed = (settings.data_dir / _PLACING).read_text(encoding="ascii").split()
        is_untouched = placed == _hash(target) and not target.with_name(f"{target.name}-wal").exists()
    except (FileNotFoundError, ValueError):
        return False
    return backup == manifest.database_sha256 and is_untouched


def _clear_interrupted(settings: Settings) -> None:
    """Removes what a restore that was killed has left: the folder held nothing before it."""
    mark = settings.data_dir / _PLACING
    if mark.exists():
        shutil.rmtree(settings.data_dir / "files", ignore_errors=True)
    shutil.rmtree(settings.data_dir / _RESTORING, ignore_errors=True)
    mark.unlink(missing_ok=True)


# --- what is looked at


def _get_sqlite_path(settings: Settings) -> Path:
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() != "sqlite":
        raise BackupFailed(
            "the database is not SQLite: copy it with its own tools (pg_dump), then the folder `files` of the data "
            "directory, in this order: a file is there before its row"
        )
    return Path(str(url.database))


def _refuse_occupied(settings: Settings, target: Path) -> None:
    ours = {_RESTORING, _PLACING, f"{target.name}{_RESTORING}"}
    if (settings.data_dir / _PLACING).exists() and not target.exists():
        ours.add("files")
    occupied = sorted(path for path in settings.data_dir.glob("*") if path.name not in _KEPT | ours)
    if target.exists():
        database = Database(settings)
        try:
            with database.read() as session:
                workers = list_live_workers(session, settings.lease_ttl_s)
        except Exception:  # noqa: BLE001 - whatever it is, it is not ours to overwrite
            workers = []
        finally:
            database.dispose()
        if workers:
            raise BackupFailed(f"a service runs on {target} (worker with process id {workers[0].pid}): stop it first")
        occupied = occupied or [target]
    if occupied:
        raise BackupFailed(
            f"{settings.data_dir} is not empty ({occupied[0].name}): restore into an empty folder, TONOK_DATA_DIR=…"
        )


def _read_manifest(source: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((source / _MANIFEST).read_bytes())
    except OSError:
        raise BackupFailed(f"{source} is not a backup: it has no {_MANIFEST}") from None
    except ValidationError:
        raise BackupFailed(f"{source / _MANIFEST} is not a manifest that this version can read") from None


def _describe(partial: Path, broken: tuple[str, ...]) -> Manifest:
    path = partial / _DATABASE
    [revision] = _query(path, "SELECT version_num FROM alembic_version")
    [num_jobs] = _query(path, "SELECT count(*) FROM job")
    copies = FileStore(_locate(partial))
    sizes = [copies.path(sha256).stat().st_size for sha256 in copies.list_stored()]
    return Manifest(
        created_at=utc_now(),
        schema_revision=revision,
        database_sha256=_hash(path),
        num_jobs=num_jobs,
        num_files=len(sizes),
        num_bytes=sum(sizes),
        broken=broken,
    )


def _find_unreadable(files: FileStore, hashes: Iterable[str]) -> set[str]:
    unreadable = set()
    for sha256 in hashes:
        try:
            files.verify(sha256)
        except (NotFound, CorruptFile):
            unreadable.add(sha256)
    return unreadable


def _refuse_broken(source: Path, unreadable: Collection[str], manifest: Manifest) -> None:
    """What was broken before the backup is known and stays so; anything else is the backup's own damage."""
    damaged = sorted(set(unreadable) - set(manifest.broken))
    if damaged:
        shown = ", ".join(damaged[:_LISTED]) + (" …" if len(damaged) > _LISTED else "")
        raise BackupFailed(f"{len(damaged)} file(s) of {source} are missing or damaged: {shown}")


def _check_database(path: Path) -> None:
    if _query(path, "PRAGMA integrity_check") != ["ok"] or _query(path, "PRAGMA foreign_key_check"):
        raise BackupFailed(f"{path} is damaged: SQLite's own checks fail")


def _query(path: Path, statement: str) -> list[Any]:
    """The first column of the answer. Opened as a file that nobody changes, so that nothing is written beside it."""
    with closing(load_sqlite().connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as connection:
        return [row[0] for row in connection.execute(statement).fetchall()]


def _locate(folder: Path) -> Settings:
    """Settings of a data directory in `folder`, whatever the environment says."""
    return Settings(data_dir=folder, database_url=None)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _fsync_all(folder: Path) -> None:
    for path in (folder / _DATABASE, folder / _MANIFEST):
        _fsync_file(path)
    fsync_folder(folder)
