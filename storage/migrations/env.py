"""Alembic's entry: migrates over the connection that `Database.create` hands in, or over its own from the shell."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Connection
from sqlmodel import AutoString, SQLModel

from storage.database import Database
from storage.settings import load_settings
from storage.tables import UtcDateTime


def _render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """A revision must not change when our classes do: it names plain column types."""
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_item=_render_item,
        # SQLite's DDL is transactional once the driver's own BEGIN is out of the way: all of it or nothing.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is None:
    with Database(load_settings()).open_for_migration() as connection:
        _migrate(connection)
else:
    _migrate(connection)
