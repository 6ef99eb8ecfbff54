"""Log lines, the same in every process: as text for people, or as one JSON object per line for machines.

What a process is at work on (a request, a job) is bound once and stands in every line that is written meanwhile, in
this thread or task and in those that it starts.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from storage.settings import Settings

_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("tonok_log_fields", default=_NOTHING)

# An API key, and user and password of a URL: no line is so interesting that it may hold them.
_SECRETS = re.compile(r"tonok_[A-Za-z0-9_-]{43}|(?<=://)[^/\s@]+(?=@)")
_HIDDEN = "***"


def hide_secrets(text: str) -> str:
    """The text without API keys and without user and password of a URL."""
    return _SECRETS.sub(_HIDDEN, text)


@contextmanager
def bind_log_fields(**fields: object) -> Iterator[None]:
    """Every line written inside holds these fields. None is left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _bound.set({**_bound.get(), **known})
    try:
        yield
    finally:
        _bound.reset(token)


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message (name=value …)`, and below it the traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # its parent's name
        fields = " ".join(f"{name}={value}" for name, value in _bound.get().items())
        # One event, one line: what came from outside cannot begin another.
        line = super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")
        return f"{line} ({fields})" if fields else line

    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", …bound fields, "exception"?}` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_bound.get(),
        }
        if record.exc_info is not None:
            entry["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return hide_secrets(json.dumps(entry, ensure_ascii=False, default=str))


def configure_logging(settings: Settings) -> None:
    """Sends this process's log to standard error, in the form and from the level that the settings name."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # It tells of each of its plugins.
    logging.getLogger("alembic").setLevel(logging.WARNING)
