"""Keyset pages, newest first: stable while rows are added, and as fast on the last page as on the first."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_
from sqlmodel import Session, col
from sqlmodel.sql.expression import SelectOfScalar

from storage.errors import InvalidPageToken
from storage.tables import Job, Model, UtcDateTime

Row = TypeVar("Row", Job, Model)
T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of rows; `next_page_token` is None on the last."""

    items: list[T]
    next_page_token: str | None


def fetch_page(
    session: Session, query: SelectOfScalar[Row], table: type[Row], page_size: int, page_token: str | None
) -> Page[Row]:
    """Runs the query newest first, from where `page_token` left off. Raises InvalidPageToken."""
    created_at, row_id = col(table.created_at), col(table.id)
    if page_token is not None:
        last = _parse_token(page_token)
        position: ColumnElement[bool] = tuple_(created_at, row_id) < tuple_(
            literal(last[0], UtcDateTime()), literal(last[1])
        )
        query = query.where(position)
    # One row more than the page tells whether another page follows.
    rows = list(session.exec(query.order_by(created_at.desc(), row_id.desc()).limit(page_size + 1)).all())
    items = rows[:page_size]
    return Page(items, _build_token(items[-1]) if len(rows) > page_size else None)


def _build_token(row: Job | Model) -> str:
    return base64.urlsafe_b64encode(json.dumps([row.created_at.isoformat(), row.id]).encode()).decode().rstrip("=")


def _parse_token(token: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        created_at, row_id = json.loads(text)
        moment = datetime.fromisoformat(created_at).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidPageToken from error
    if not isinstance(row_id, str) or not row_id.isascii() or not row_id.isprintable():
        raise InvalidPageToken
    return moment, row_id
