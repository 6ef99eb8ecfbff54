"""Every revision, up and down, with rows in every table: no upgrade and no downgrade may lose one.

Nothing here names a table or a revision, so that the next one is tested by being there.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel, col, select

from storage import migrations
from storage.database import Database
from storage.errors import SchemaTooNew
from storage.settings import Settings
from storage.tables import Artifact, Job
from tests.storage.conftest import Submit

Rows = dict[str, list[dict[str, Any]]]


def _build_config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


REVISIONS = [script.revision for script in ScriptDirectory.from_config(_build_config()).walk_revisions()][::-1]


@pytest.fixture
def empty(settings: Settings) -> Database:
    """A database without any table."""
    return Database(settings)


def _upgrade(database: Database, revision: str) -> None:
    with database.open_for_migration() as connection:
        command.upgrade(_build_config(connection), revision)


def _downgrade(database: Database, revision: str) -> None:
    with database.open_for_migration() as connection:
        command.downgrade(_build_config(connection), revision)


def _reflect(connection: sa.Connection) -> list[sa.Table]:
    """The tables that are there, those that others refer to first."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def _build_value(column: sa.Column[Any], number: int) -> Any:
    for key in column.foreign_keys:
        return _build_value(key.column, number)
    if isinstance(column.type, sa.JSON):
        return {"number": str(number)}
    kind = column.type.python_type
    if kind is datetime.datetime:
        return datetime.datetime(2026, 1, 1, second=number)  # noqa: DTZ001 - SQLite keeps no zone
    if kind in (bool, int, float):
        return kind(number)
    return f"{column.table.name}.{column.name} {number}"


def _fill(database: Database, number: int) -> None:
    """One row more in every table, with a value in every column."""
    with database.engine.begin() as connection:
        for table in _reflect(connection):
            row = {column.name: _build_value(column, number) for column in table.columns}
            connection.execute(table.insert().values(row))


def _read(database: Database) -> Rows:
    with database.engine.begin() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in _reflect(connection)
        }


def _narrow(rows: Rows, like: Rows) -> Rows:
    """The tables and columns that `like` has too, in an order that no change of a key can change."""
    return {
        table: sorted(
            ({name: value for name, value in row.items() if name in like[table][0]} for row in rows[table]),
            key=lambda row: repr(sorted(row.items())),
        )
        for table in rows.keys() & like.keys()
    }


def _assert_sound(database: Database) -> None:
    with database.engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_and_its_downgrade_keep_every_row(empty: Database, revision: str) -> None:
    position = REVISIONS.index(revision)
    if position > 0:
        _upgrade(empty, REVISIONS[position - 1])
    _fill(empty, 1)
    before = _read(empty)

    _upgrade(empty, revision)
    upgraded = _read(empty)
    assert _narrow(upgraded, before) == _narrow(before, upgraded)
    _assert_sound(empty)

    _fill(empty, 2)
    filled = _read(empty)
    assert {table for table, rows in filled.items() if not rows} == set()
    _downgrade(empty, "-1")
    downgraded = _read(empty)
    assert downgraded.keys() == before.keys()
    assert _narrow(downgraded, filled) == _narrow(filled, downgraded)
    _assert_sound(empty)

    _upgrade(empty, "head")
    _assert_sound(empty)


def test_a_parent_that_waits_is_queued_or_cancelled_where_the_code_before_knows_no_waiting(
    database: Database, submit: Submit
) -> None:
    for status in ("running", "cancelling"):
        job = submit()
        with database.transaction() as session:
            session.exec(sa.update(Job).where(col(Job.id) == job.id).values(status=status, waits_for={"steps": {}}))
    _downgrade(database, "0001")
    _upgrade(database, "head")
    with database.read() as session:
        jobs = session.exec(select(Job).order_by(col(Job.id))).all()
        assert [(job.status, job.finished_at is None) for job in jobs] == [("queued", True), ("cancelled", False)]


def test_starts_that_were_not_to_count_are_counted_apart_and_given_back_on_the_way_down(database: Database) -> None:
    _downgrade(database, "0004")
    # As the code before had them: sent with 2 attempts, each start that was not to count allowed one more.
    cases = {
        "study that waits": ("running", 3, 5, '{"steps": {}}', 0), "study that runs": ("running", 4, 5, None, 0),
        "second attempt": ("running", 2, 2, None, 1), "queued after a crash": ("queued", 1, 2, None, 1),
        "queued after a release": ("queued", 1, 3, None, 0), "succeeded study": ("succeeded", 4, 5, None, 0),
        "never started": ("queued", 0, 2, None, 0), "used up": ("failed", 2, 2, None, 2),
        "failed by its own error": ("failed", 1, 2, None, 0), "so after a release": ("failed", 2, 3, None, 0),
    }  # fmt: skip
    insert = (
        "INSERT INTO job (id, owner, kind, labels, status, progress, spec, resolved_spec, warnings, attempt, "
        "max_attempts, max_runtime_s, cancel_requested, waits_for, created_at, updated_at) "
        """VALUES (?, 'local', 'train', '{}', ?, '{}', '{}', '{"max_attempts": 2}', '[]', ?, ?, 60, 0, ?, ?, ?)"""
    )
    moment = "2026-01-01 00:00:00.000000"
    with database.engine.begin() as connection:
        for name, (status, attempt, max_attempts, waits_for, _) in cases.items():
            row = (name, status, attempt, max_attempts, waits_for, moment, moment)
            connection.exec_driver_sql(insert, row)
    _upgrade(database, "head")
    with database.read() as session:
        found = {job.id: (job.failed_attempts, job.max_attempts) for job in session.exec(select(Job)).all()}
        assert all(job.counted_attempt <= job.max_attempts for job in session.exec(select(Job)).all())
    assert found == {name: (failed, 2) for name, (*_, failed) in cases.items()}
    _downgrade(database, "0004")
    with database.engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT id, max_attempts FROM job").all()
    assert {row[0]: row[1] for row in rows} == {name: max_attempts for name, (_, _, max_attempts, *_) in cases.items()}


def test_the_revisions_are_one_chain_numbered_from_the_first() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS


def test_the_newest_revision_is_what_the_code_declares(database: Database) -> None:
    with database.engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_table_that_is_rebuilt_keeps_the_rows_that_refer_to_it(database: Database, submit: Submit) -> None:
    # SQLite rebuilds a table for most changes; with foreign keys in force, dropping the old one deletes the events.
    job = submit()
    with database.open_for_migration() as connection:
        # As such a revision has to: they name the table, and it makes them anew afterwards.
        for trigger in (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
        ):
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("job", recreate="always") as batch:
            batch.add_column(sa.Column("added", sa.String()))
    with database.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT job_id FROM jobevent").scalars().all() == [job.id]
    _assert_sound(database)


def test_a_migration_that_would_leave_a_row_without_what_it_refers_to_changes_nothing(
    database: Database, submit: Submit
) -> None:
    job = submit()
    with pytest.raises(RuntimeError, match="refer to nothing"), database.open_for_migration() as connection:
        connection.exec_driver_sql("DELETE FROM job")
    with database.read() as session:
        assert session.connection().exec_driver_sql("SELECT id FROM job").scalars().all() == [job.id]
    _assert_sound(database)


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="9999"):
        database.create()
    assert Artifact.__tablename__ in _read(database)
