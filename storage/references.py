"""Which models and data sets a spec names, in whatever field: they must be there until the job has ended."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlmodel import Session, col, select

from storage.datasets import get_dataset
from storage.errors import NotFound
from storage.models import get_model
from storage.tables import TERMINAL, Job

_FINDERS = {"mdl": get_model, "dst": get_dataset}
_ID = re.compile(r"(mdl|dst)_[0-9A-Za-z]{1,40}")
_WORDS = ("name", "labels", "class_names")
"""Fields in which people write what they like."""


def check_references(session: Session, resolved_spec: Mapping[str, Any]) -> None:
    """Raises NotFound, which names the field, where a model or data set of the spec is gone."""
    for field, text in _list_texts(resolved_spec):
        if (match := _ID.fullmatch(text)) is not None:
            try:
                _FINDERS[match[1]](session, text)
            except NotFound as error:
                raise NotFound(f"{field}: {error.detail}", field=field) from None


def find_waiting_job(session: Session, owner: str, ids: Collection[str], ignored: Collection[str]) -> str | None:
    """A job of the owner's that has not ended and names one of the models or data sets, or None.

    ignored: jobs that do not count.
    """
    waiting = select(Job.id, Job.model_id, Job.resolved_spec).where(
        col(Job.owner) == owner, col(Job.status).not_in(TERMINAL), col(Job.id).not_in(ignored)
    )
    for job_id, started_from, spec in session.exec(waiting):
        if any(text in ids for text in (started_from, *(text for _, text in _list_texts(spec)))):
            return job_id
    return None


def _list_texts(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields of a spec and the texts in them."""
    return ((field, text) for field, value in spec.items() if field not in _WORDS for text in _walk(value))


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner)
