"""The one way to the database. Only `transaction()` commits; `read()` cannot write."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Engine, create_engine, event, func, literal
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from storage.errors import DiskFull, SchemaTooNew, is_disk_full
from storage.owners import set_owner
from storage.settings import Settings

_BUSY_TIMEOUT_MS = 15_000
_SCHEMA_LOCK = 7_406_017
"""PostgreSQL advisory lock held while the schema is migrated."""


class Database:
    """Connections of one process. Make it after a fork or spawn, never before."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.resolved_database_url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"json_serializer": json.JSONEncoder(allow_nan=False).encode}
        if self.is_sqlite:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            options["module"] = load_sqlite()
        else:
            options["pool_pre_ping"] = True
        self.engine: Engine = create_engine(url, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self.busy_timeout_s = _BUSY_TIMEOUT_MS / 1000
        self._readers = self.engine.execution_options(tonok_reader=True, postgresql_readonly=True)

    def create(self) -> None:
        """Brings the schema to its newest revision. Safe when several processes do so at the same moment.

        Raises SchemaTooNew.
        """
        # Imported here: a job's process opens the database too, and has no use for a migration tool.
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with self.open_for_migration() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            if current is not None and current not in known:
                raise SchemaTooNew(f"the database has schema {current}, which a newer version of Tonok has written")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def open_for_migration(self) -> Iterator[Connection]:
        """One transaction in which tables may be rebuilt: all of it is done, or nothing."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                # SQLite changes a table by copying and dropping it, and a drop deletes what refers to its rows. The
                # pragma does nothing inside a transaction, so it is set on the driver's connection, before one.
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    if not self.is_sqlite:
                        connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
                    yield connection
                    if self.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                        raise RuntimeError("the migration would leave rows that refer to nothing")
            finally:
                if self.is_sqlite:
                    connection.connection.cursor().execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def transaction(self, owner: str | None = None) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an exception; on SQLite it holds the write lock.

        owner: whose rows it sees (storage/owners.py); None for all. Raises DiskFull, OperationalError.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                set_owner(session, owner)
                yield session
        except OperationalError as error:
            if is_disk_full(error):
                raise DiskFull("the disk that holds the database is full; nothing was changed") from error
            raise

    @contextmanager
    def read(self, owner: str | None = None) -> Iterator[Session]:
        """A session on one consistent snapshot (SQLite) that refuses to write. owner: as of `transaction`."""
        with Session(self._readers, expire_on_commit=False) as session:
            set_owner(session, owner)
            yield session

    def now(self) -> float:
        """Seconds since the epoch by the database's clock."""
        with self.read() as session:
            return session.exec(select(clock(session))).one()

    def dispose(self) -> None:
        """Closes every pooled connection."""
        self.engine.dispose()


def clock(session: Session) -> ColumnElement[float]:
    """SQL for the database's present moment, in seconds since the epoch."""
    if is_sqlite(session):
        # julianday and not unixepoch('subsec'): the latter came with SQLite 3.42.
        return (func.julianday("now", type_=Double()) - literal(2440587.5, Double())) * literal(86400.0, Double())
    return func.extract("epoch", func.clock_timestamp()).cast(Double())


def is_sqlite(session: Session) -> bool:
    """Whether the session speaks SQLite's dialect, else PostgreSQL's."""
    return session.get_bind().dialect.name == "sqlite"


def serialize(session: Session, lock: int) -> None:
    """Lets one transaction at a time past this point. SQLite's writers are alone already."""
    if not is_sqlite(session):
        session.exec(select(func.pg_advisory_xact_lock(lock)))


def load_sqlite() -> ModuleType:
    """pysqlite3 bundles an SQLite with the WAL-reset fix (3.51.3); systems often carry an older one."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3")


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: _begin_sqlite chooses how
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")  # first: the next one may have to wait
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reader = connection.get_execution_options().get("tonok_reader", False)
    # What a pooled connection was last is kept with it: most take no turn as the other.
    if connection.info.get("tonok_reader") != reader:
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reader else 'OFF'}")
        connection.info["tonok_reader"] = reader
    # A deferred transaction that reads and then writes fails or loses updates under contention.
    connection.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")
