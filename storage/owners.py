"""Whose rows a session sees.

A request's session carries its caller's owner; every query of this package about jobs and models asks here. A worker's
session carries none and sees everything.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement
from sqlmodel import Session, col

from storage.tables import Dataset, Job, JobLabel, Model

_KEY = "owner"


def set_owner(session: Session, owner: str | None) -> None:
    """From here on the session sees the rows of this owner alone; of all with None."""
    session.info[_KEY] = owner


def find_owner(session: Session) -> str | None:
    """The owner that the session is restricted to, or None."""
    owner: str | None = session.info.get(_KEY)
    return owner


def is_visible(session: Session, row: Job | Model | Dataset) -> bool:
    """Whether the session may know of the row."""
    return find_owner(session) in (None, row.owner)


def only_visible(
    session: Session, table: type[Job] | type[JobLabel] | type[Model] | type[Dataset]
) -> list[ColumnElement[bool]]:
    """Conditions for a WHERE: none where the session sees everything."""
    owner = find_owner(session)
    return [] if owner is None else [col(table.owner) == owner]
