"""Rows and files held against each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from storage.artifacts import build_artifact
from storage.database import Database
from storage.files import FileStore
from storage.integrity import check_database, find_broken, find_orphans, sweep_orphans
from storage.settings import Settings
from tests.storage.conftest import Submit


def _publish(database: Database, files: FileStore, job_id: str, content: bytes, name: str = "a.bin") -> str:
    stored = files.put_bytes(content)
    artifact = build_artifact(
        job_id=job_id, kind="plot", name=name, media_type="m", sha256=stored.sha256, num_bytes=stored.num_bytes
    )
    with database.transaction() as session:
        session.add(artifact)
    return stored.sha256


def _age(files: FileStore, sha256: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(files.path(sha256), (moment, moment))


def _check(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TONOK_DATA_DIR": str(settings.data_dir)}
    command = [sys.executable, "-m", "storage", "check", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_only_old_files_that_no_row_names_are_swept(database: Database, files: FileStore, submit: Submit) -> None:
    named = _publish(database, files, submit().id, b"named")
    old, young = files.put_bytes(b"old").sha256, files.put_bytes(b"young").sha256
    _age(files, named, 7200)
    _age(files, old, 7200)
    assert sweep_orphans(database, files, grace_s=3600) == [old]
    assert [files.has(sha256) for sha256 in (named, old, young)] == [True, False, True]
    assert sweep_orphans(database, files, grace_s=3600) == []


def test_what_is_no_stored_file_is_no_orphan(database: Database, files: FileStore, settings: Settings) -> None:
    files.put_bytes(b"orphan")
    (settings.data_dir / "files" / "ab").mkdir()
    (settings.data_dir / "files" / "ab" / "README").write_text("somebody's note")
    (settings.data_dir / "files" / "tmp" / "being-written").write_text("half of")
    sweep_orphans(database, files, grace_s=0)
    left = sorted(path.name for path in (settings.data_dir / "files").rglob("*") if path.is_file())
    assert left == ["README", "being-written"]


def test_a_row_whose_file_is_gone_is_reported_and_kept(database: Database, files: FileStore, submit: Submit) -> None:
    job = submit()
    gone, whole = _publish(database, files, job.id, b"gone", "gone.png"), _publish(database, files, job.id, b"whole")
    files.remove(gone)
    for _ in range(2):
        with database.read() as session:
            [broken] = find_broken(session, files)
        assert (broken.state, broken.name, broken.job_id, broken.sha256) == ("missing", "gone.png", job.id, gone)
    assert files.has(whole)


def test_a_flipped_bit_is_found_where_every_byte_is_read(database: Database, files: FileStore, submit: Submit) -> None:
    sha256 = _publish(database, files, submit().id, b"abc")
    files.path(sha256).write_bytes(b"abd")
    with database.read() as session:
        assert list(find_broken(session, files)) == []
        assert [broken.state for broken in find_broken(session, files, read_all=True)] == ["damaged"]


def test_orphans_are_told_by_hash_so_that_a_shared_file_stays(
    database: Database, files: FileStore, submit: Submit
) -> None:
    shared = [_publish(database, files, submit().id, b"same") for _ in range(2)]
    assert shared[0] == shared[1]
    with database.read() as session:
        assert find_orphans(session, files, grace_s=0) == []


def test_the_databases_own_checks_find_a_row_that_refers_to_nothing(database: Database, submit: Submit) -> None:
    submit()
    with database.read() as session:
        assert check_database(session) == []
    with database.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("DELETE FROM job")
        connection.connection.cursor().execute("COMMIT")
    with database.read() as session:
        assert check_database(session) == ["database: a row of jobevent refers to nothing"]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "fault"), [((), "missing"), (("--read",), "damaged")])
def test_the_check_command_names_what_is_broken(
    database: Database, files: FileStore, settings: Settings, submit: Submit, options: tuple[str, ...], fault: str
) -> None:
    sha256 = _publish(database, files, submit().id, b"abc", "curve.png")
    healthy = _check(settings, *options)
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert healthy.stdout.startswith("0 fault(s); 0 file(s)")
    if fault == "missing":
        files.remove(sha256)
    else:
        files.path(sha256).write_bytes(b"abd")
    sick = _check(settings, *options)
    assert sick.returncode == 1
    assert f"tonok: {fault}: curve.png of job_" in sick.stderr
