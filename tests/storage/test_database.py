from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlmodel import SQLModel, col, select

from storage.database import Database
from storage.settings import Settings
from storage.tables import Artifact, WorkerNode, utc_now


class _Interruption(Exception):
    pass


def _add_worker(database: Database, name: str) -> None:
    with database.transaction() as session:
        session.add(WorkerNode(id=name, pid=1, host="h", slots=0, heartbeat_at=0.0))


def test_sqlite_is_set_up_to_survive_a_power_cut_and_to_wait_for_locks(database: Database) -> None:
    with database.read() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}


@pytest.mark.skipif(sys.platform != "linux", reason="the bundled SQLite is for Linux")
def test_sqlite_is_new_enough_to_reset_its_log_safely(database: Database) -> None:
    with database.read() as session:
        version = session.connection().exec_driver_sql("SELECT sqlite_version()").scalar_one()
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)


def test_migrations_build_the_very_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        inspector = inspect(connection)
        built = {
            table: {column["name"] for column in inspector.get_columns(table)}
            for table in inspector.get_table_names()
            if table != "alembic_version"
        }
        indexes = {index["name"] for table in built for index in inspector.get_indexes(table)}
    declared = SQLModel.metadata.tables
    assert built == {name: {column.name for column in table.columns} for name, table in declared.items()}
    assert indexes == {index.name for table in declared.values() for index in table.indexes}


@pytest.mark.slow
def test_several_processes_may_create_the_schema_at_once(settings: Settings) -> None:
    code = "from storage.database import Database; from storage.settings import Settings; Database(Settings()).create()"
    environment = {"TONOK_DATA_DIR": str(settings.data_dir)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [(process.communicate(timeout=300)[1], process.returncode) for process in processes] == [(b"", 0)] * 4
    _add_worker(Database(settings), "w")


def test_a_reader_cannot_write(database: Database) -> None:
    with database.read() as session:
        session.add(WorkerNode(id="w", pid=1, host="h", slots=1, heartbeat_at=0.0))
        with pytest.raises(OperationalError) as error:
            session.flush()
    assert getattr(error.value.orig, "sqlite_errorname", None) == "SQLITE_READONLY"


def test_a_connection_that_has_read_can_write_again(database: Database) -> None:
    for name in ("a", "b", "c"):
        with database.read() as session:
            assert name not in session.exec(select(WorkerNode.id)).all()
        _add_worker(database, name)


def test_an_exception_rolls_everything_back(database: Database) -> None:
    def write_half() -> None:
        with database.transaction() as session:
            session.add(WorkerNode(id="w", pid=1, host="h", slots=1, heartbeat_at=0.0))
            session.flush()
            raise _Interruption

    with pytest.raises(_Interruption):
        write_half()
    with database.read() as session:
        assert session.get(WorkerNode, "w") is None


def test_four_writers_that_read_before_they_write_lose_no_update(database: Database) -> None:
    _add_worker(database, "counter")

    def count() -> None:
        for _ in range(20):
            with database.transaction() as session:
                session.get_one(WorkerNode, "counter").slots += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.exec(select(WorkerNode.slots).where(col(WorkerNode.id) == "counter")).one() == 80


def test_a_row_cannot_name_a_job_that_is_not_there(database: Database) -> None:
    orphan = Artifact(
        id="art_1",
        job_id="job_none",
        kind="log",
        name="n",
        media_type="m",
        sha256="",
        num_bytes=0,
        created_at=utc_now(),
    )
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add(orphan)


def test_the_databases_clock_agrees_with_ours(database: Database) -> None:
    before = time.time()
    assert before - 0.01 <= database.now() <= time.time() + 0.01


def test_a_number_that_json_lacks_is_refused_rather_than_stored(database: Database) -> None:
    with pytest.raises(StatementError) as error, database.transaction() as session:
        session.add(WorkerNode(id="w", pid=1, host="h", slots=1, heartbeat_at=0.0, info={"x": float("nan")}))
    assert isinstance(error.value.orig, ValueError)  # of the JSON encoder, whose words are Python's own


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true", "sqlite:///file::memory:?uri=true"],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(database_url=SecretStr(url))
    assert [fault["loc"] for fault in caught.value.errors()] == [("database_url",)]


@pytest.mark.parametrize("field", ["data_dir", "dataset_dir"])
@pytest.mark.parametrize("folder", ["~nobody-of-this-name/x", "/dev/null/x", "/tmp/" + 300 * "x"])
def test_a_folder_that_cannot_be_reached_is_refused_by_its_name(field: str, folder: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({field: folder})
    assert [fault["loc"] for fault in caught.value.errors()] == [(field,)]


def test_values_reach_the_database_as_parameters(database: Database) -> None:
    _add_worker(database, "'; DROP TABLE job; --")
    with database.read() as session:
        assert session.connection().execute(text("SELECT count(*) FROM job")).scalar_one() == 0
