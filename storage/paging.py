"""Keyset pages, newest first: stable while rows are added, and as fast on the last page as on the first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col
from sqlmodel.sql.expression import SelectOfScalar

from storage.errors import InvalidPageToken
from storage.tables import Dataset, Job, Model, UtcDateTime

Row = TypeVar("Row", Job, Model, Dataset)
T = TypeVar("T")

PAGE_POSITION = r"^[0-9]{16}[0-9A-Za-z]{1,40}$"
"""Microseconds since 1970 and the id behind its prefix. Any text of this shape is a position, whether or not a row
stands there: so the document can say all that a token must be.
"""
_PREFIXES: dict[type[Job] | type[Model] | type[Dataset], str] = {Job: "job", Model: "mdl", Dataset: "dst"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of rows; `next_page_token` is None on the last."""

    items: list[T]
    next_page_token: str | None


def fetch_page(
    session: Session,
    query: SelectOfScalar[Row],
    table: type[Row],
    page_size: int,
    page_token: str | None,
    position_columns: tuple[Mapped[datetime], Mapped[str]] | None = None,
) -> Page[Row]:
    """Runs the query newest first, from where `page_token` left off. Raises InvalidPageToken.

    position_columns: those of a joined table that hold the row's `created_at` and `id` in an index of their own.
    """
    created_at, row_id = position_columns or (col(table.created_at), col(table.id))
    if page_token is not None:
        last = _parse_token(page_token, table)
        position: ColumnElement[bool] = tuple_(created_at, row_id) < tuple_(
            literal(last[0], UtcDateTime()), literal(last[1])
        )
        query = query.where(position)
    # One row more than the page tells whether another page follows.
    rows = list(session.exec(query.order_by(created_at.desc(), row_id.desc()).limit(page_size + 1)).all())
    items = rows[:page_size]
    return Page(items, _build_token(items[-1]) if len(rows) > page_size else None)


def _build_token(row: Job | Model | Dataset) -> str:
    return f"{(row.created_at - _EPOCH) // _MICROSECOND:016d}{row.id.rpartition('_')[2]}"


def _parse_token(token: str, table: type[Job] | type[Model] | type[Dataset]) -> tuple[datetime, str]:
    if re.fullmatch(PAGE_POSITION, token) is None:
        raise InvalidPageToken
    return _EPOCH + int(token[:16]) * _MICROSECOND, f"{_PREFIXES[table]}_{token[16:]}"
