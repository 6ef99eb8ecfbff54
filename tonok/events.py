"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One frame of a job's stream. event_id: its number in the job's log, None for frames outside of it."""

    name: str
    event_id: str | None
    data: dict[str, Any]


def parse_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Lines of a `text/event-stream` body → its events. A frame cut short at the end is no event."""
    fields: dict[str, list[str]] = {}
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        else:
            if "data" in fields:
                event_id = fields["id"][-1] if "id" in fields else None
                yield Event(fields.get("event", ["message"])[-1], event_id, json.loads("\n".join(fields["data"])))
            fields = {}
