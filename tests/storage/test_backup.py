"""Copies of a service that runs, and the way back. The bytes and rows are counted from outside."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import Session, select

from storage.artifacts import build_artifact, list_artifacts
from storage.attempts import Lease, claim_job, finish_succeeded
from storage.backup import BackupFailed, create_backup, restore_backup, verify_backup
from storage.database import Database
from storage.files import FileStore
from storage.ids import new_id
from storage.integrity import check_database, find_broken, find_orphans, list_hashes
from storage.jobs import delete_job, get_job, list_events
from storage.settings import Settings
from storage.tables import Artifact, Job, Model, WorkerNode, utc_now
from storage.workers import record_heartbeat
from tests.faults.points import FOLDER_VARIABLE, RESTORE_POINTS, FaultFolder, Point
from tests.storage.conftest import Claim, Submit


def _succeed(database: Database, files: FileStore, lease: Lease, content: bytes) -> str:
    """What a worker does at the end of a job: the file, then the rows. Returns the model's id."""
    stored = files.put_bytes(content)
    artifact = build_artifact(
        job_id=lease.job_id, kind="checkpoint", name="weights.bin", media_type="m", sha256=stored.sha256,
        num_bytes=stored.num_bytes,
    )  # fmt: skip
    model = Model(
        id=new_id("mdl"), job_id=lease.job_id, name="n", architecture="mlp", dataset="digits",
        files={"checkpoint": artifact.id}, created_at=utc_now(),
    )  # fmt: skip
    with database.transaction() as session:
        finish_succeeded(session, lease, result={}, output_model_id=model.id, artifacts=[artifact], models=[model])
    return model.id


def _hash_tree(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of every file below the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def restored(tmp_path: Path) -> Settings:
    """Where to restore to: a data directory that is not there yet."""
    return Settings(data_dir=tmp_path / "restored")


def test_a_restored_service_has_every_row_and_every_byte(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    restored: Settings,
) -> None:  # fmt: skip
    contents = [os.urandom(5000) for _ in range(3)]
    for content in contents:
        submit()
        _succeed(database, files, claim(), content)
    made = create_backup(settings, tmp_path / "backup")
    assert (made.num_jobs, made.num_files, made.num_bytes, made.broken) == (3, 3, 15_000, ())
    assert verify_backup(tmp_path / "backup") == made
    assert restore_backup(restored, tmp_path / "backup") == made

    assert sorted(path.name for path in restored.data_dir.iterdir()) == ["files", "tonok.db"]

    again, store = Database(restored), FileStore(restored)
    again.create()
    with again.read() as session, database.read() as before:
        for table in (Job, Artifact, Model):
            assert session.exec(select(table)).all() == before.exec(select(table)).all()
        assert check_database(session) == []
    found = {path.read_bytes() for path in (store.path(sha256) for sha256 in store.list_stored())}
    assert found == set(contents)
    again.dispose()


def test_a_job_that_ran_during_the_backup_is_queued_again_and_it_costs_it_no_attempt(
    settings: Settings, database: Database, submit: Submit, claim: Claim, tmp_path: Path, restored: Settings
) -> None:
    job = submit(max_attempts=1)
    claim("wrk_1")
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=1, host="h", slots=1, info={})
    create_backup(settings, tmp_path / "backup")
    restore_backup(restored, tmp_path / "backup")
    again = Database(restored)
    with again.read() as session:
        found = get_job(session, job.id)
        assert (found.status, found.counted_attempt, found.max_attempts, found.lease_holder) == ("queued", 1, 1, None)
        assert [event.type for event in list_events(session, job.id)] == ["queued", "started", "requeued"]
        assert session.exec(select(WorkerNode)).all() == []
    with again.transaction() as session:
        assert claim_job(session, "wrk_2", 30) is not None
    again.dispose()
    with database.read() as session:
        assert get_job(session, job.id).status == "running"


@pytest.mark.slow
def test_a_backup_under_load_restores_to_rows_that_all_have_their_files(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    restored: Settings,
) -> None:  # fmt: skip
    """One thread ends jobs and deletes others while copies are taken."""
    stop = threading.Event()
    finished: list[str] = []

    def work() -> None:
        while not stop.is_set():
            submit()
            lease = claim()
            _succeed(database, files, lease, os.urandom(20_000))
            finished.append(lease.job_id)
            if len(finished) % 3 == 0:
                delete_job(database, files, finished[-3])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        made = []
        for number in range(4):
            while len(finished) < 5 * (number + 1):
                stop.wait(0.01)
            made.append(create_backup(settings, tmp_path / f"backup-{number}"))
    finally:
        stop.set()
        thread.join()
    assert sorted(manifest.num_jobs for manifest in made) == [manifest.num_jobs for manifest in made]
    for number, manifest in enumerate(made):
        target = restored.model_copy(update={"data_dir": tmp_path / f"restored-{number}"})
        assert restore_backup(target, tmp_path / f"backup-{number}") == manifest
        again, store = Database(target), FileStore(target)
        with again.read() as session:
            assert check_database(session) == []
            assert list(find_broken(session, store, read_all=True)) == []
            assert find_orphans(session, store, grace_s=0) == []
            succeeded = session.exec(select(Job).where(Job.status == "succeeded")).all()
            assert succeeded
            assert all(list_artifacts(session, job.id) for job in succeeded)
        again.dispose()


def test_a_file_that_was_gone_before_the_backup_is_named_and_hinders_nothing(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    restored: Settings,
) -> None:  # fmt: skip
    for content in (b"gone", b"rotten", b"whole"):
        submit()
        _succeed(database, files, claim(), content)
    gone, rotten = (hashlib.sha256(content).hexdigest() for content in (b"gone", b"rotten"))
    files.remove(gone)
    _flip_bit(files.path(rotten))
    made = create_backup(settings, tmp_path / "backup")
    assert (made.broken, made.num_files) == (tuple(sorted((gone, rotten))), 1)
    assert restore_backup(restored, tmp_path / "backup").broken == made.broken
    assert list(FileStore(restored).list_stored()) == [hashlib.sha256(b"whole").hexdigest()]


def test_a_file_cut_to_nothing_does_not_take_the_empty_ones_along(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    restored: Settings,
) -> None:  # fmt: skip
    empty = hashlib.sha256(b"").hexdigest()
    contents = [b"", *(bytes([number]) * 10 for number in range(8))]
    for content in contents:
        submit()
        _succeed(database, files, claim(), content)
    for content in contents[1:]:  # several, for the files are copied in no order that one could count on
        files.path(hashlib.sha256(content).hexdigest()).write_bytes(b"")
    made = create_backup(settings, tmp_path / "backup")
    assert (len(made.broken), made.num_files, empty in made.broken) == (8, 1, False)
    restore_backup(restored, tmp_path / "backup")
    assert list(FileStore(restored).list_stored()) == [empty]


def test_a_file_that_was_stored_again_during_the_backup_is_not_called_broken(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    submit()
    _succeed(database, files, claim(), b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    files.remove(sha256)

    def store_again_and_look(session: Session) -> set[str]:
        files.put_bytes(b"weights")
        return list_hashes(session)

    monkeypatch.setattr("storage.backup.list_hashes", store_again_and_look)
    made = create_backup(settings, tmp_path / "backup")
    assert (made.broken, made.num_files) == ((), 1)


@pytest.mark.parametrize("damage", ["file", "lost", "database", "manifest"])
def test_a_damaged_backup_is_refused_and_the_target_left_empty(
    settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim, tmp_path: Path,
    restored: Settings, damage: str,
) -> None:  # fmt: skip
    submit()
    _succeed(database, files, claim(), b"weights")
    create_backup(settings, tmp_path / "backup")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    stored = tmp_path / "backup" / "files" / sha256[:2] / sha256[2:]
    if damage == "file":
        _flip_bit(stored)
    elif damage == "lost":
        stored.unlink()
    elif damage == "database":
        _flip_bit(tmp_path / "backup" / "tonok.db")
    else:
        (tmp_path / "backup" / "manifest.json").write_text("{}")
    expected = {"file": sha256, "lost": sha256, "database": r"tonok\.db", "manifest": "manifest"}[damage]
    with pytest.raises(BackupFailed, match=expected):
        verify_backup(tmp_path / "backup")
    with pytest.raises(BackupFailed, match=expected):
        restore_backup(restored, tmp_path / "backup")
    assert not restored.data_dir.exists() or list(restored.data_dir.iterdir()) == []


def test_neither_a_backup_nor_a_data_directory_is_ever_overwritten(
    settings: Settings, database: Database, submit: Submit, tmp_path: Path, restored: Settings
) -> None:
    submit()
    create_backup(settings, tmp_path / "backup")
    before = _hash_tree(tmp_path / "backup")
    with pytest.raises(BackupFailed, match="never overwrites"):
        create_backup(settings, tmp_path / "backup")
    with pytest.raises(BackupFailed, match="not empty"):
        restore_backup(settings, tmp_path / "backup")
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=4711, host="h", slots=1, info={})
    with pytest.raises(BackupFailed, match=r"a service runs on .* 4711"):
        restore_backup(settings, tmp_path / "backup")
    assert _hash_tree(tmp_path / "backup") == before
    with database.read() as session:
        assert len(session.exec(select(Job)).all()) == 1

    (restored.data_dir / "datasets").mkdir(parents=True)
    (restored.data_dir / "lost+found").mkdir()  # a fresh ext4 file system has one, and restoring cannot remove it
    restore_backup(restored, tmp_path / "backup")
    with pytest.raises(BackupFailed, match="not empty"):
        restore_backup(restored, tmp_path / "backup")


@pytest.mark.slow
@pytest.mark.parametrize("point", RESTORE_POINTS, ids=lambda point: point.name)
def test_a_restore_that_was_killed_can_be_called_again(
    point: Point, settings: Settings, database: Database, files: FileStore, submit: Submit, claim: Claim,
    tmp_path: Path, restored: Settings,
) -> None:  # fmt: skip
    contents = {os.urandom(5000) for _ in range(3)}
    for content in contents:
        submit()
        _succeed(database, files, claim(), content)
    manifest = create_backup(settings, tmp_path / "backup")
    # The database may lie elsewhere than the files.
    apart = tmp_path / "apart" / "own.db" if point is RESTORE_POINTS[3] else restored.data_dir / "tonok.db"
    restored = restored.model_copy(update={"database_url": SecretStr(f"sqlite:///{apart}")})
    FaultFolder(tmp_path / "faults").arm(point)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.process", "storage", "restore", str(tmp_path / "backup")],
        env=os.environ
        | {
            FOLDER_VARIABLE: str(tmp_path / "faults"),
            "TONOK_DATA_DIR": str(restored.data_dir),
            "TONOK_DATABASE_URL": restored.resolved_database_url,
        },
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL

    assert restore_backup(restored, tmp_path / "backup") == manifest
    assert {path.name for path in restored.data_dir.iterdir()} | {apart.name} == {"files", apart.name}
    assert [path.name for path in apart.parent.glob("*.db*")] == [apart.name]
    store = FileStore(restored)
    assert {store.verify(sha256).read_bytes() for sha256 in store.list_stored()} == contents
    again = Database(restored)
    with again.read() as session, database.read() as before:
        assert session.exec(select(Artifact)).all() == before.exec(select(Artifact)).all()
        assert check_database(session) == []
    again.dispose()
    with pytest.raises(BackupFailed, match=r"not empty"):
        restore_backup(restored, tmp_path / "backup")


@pytest.mark.slow
def test_the_commands_say_what_they_did_and_what_is_wrong(
    settings: Settings, submit: Submit, tmp_path: Path, restored: Settings
) -> None:
    submit()

    def call(data_dir: Path, *arguments: str) -> tuple[int, str, str]:
        environment = os.environ | {"TONOK_DATA_DIR": str(data_dir)}
        command = [sys.executable, "-m", "storage", *arguments]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return finished.returncode, finished.stdout, finished.stderr

    folder = str(tmp_path / "backup")
    code, out, _ = call(settings.data_dir, "backup", folder)
    assert (code, out.startswith("1 jobs, 0 files (0.0 MB) of ")) == (0, True)
    assert call(settings.data_dir, "verify", folder)[0] == 0
    restored.data_dir.mkdir()
    assert call(restored.data_dir, "check")[0] == 1  # and leaves the folder empty, or the next line would fail
    assert call(restored.data_dir, "restore", folder)[0] == 0
    code, _, problem = call(restored.data_dir, "restore", folder)
    assert code == 1
    assert problem.startswith("tonok: ")
    assert problem.count("\n") == 1
    assert call(tmp_path / "nowhere", "backup", folder + "-2")[0] == 1
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "tonok.db").write_bytes(b"no database at all" * 100)
    for command in (["check"], ["backup", folder + "-3"]):
        assert call(tmp_path / "strange", *command)[2] == "tonok: the database cannot be read: file is not a database\n"
    again = Database(restored)
    with again.read() as session:
        assert len(session.exec(select(Job)).all()) == 1
    again.dispose()
