"""Jobs that a service did on the same checkpoint before, read from its data directory; `make demo` does most."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.job_spec import JobSpec
from worker.jobs import parse_spec
from worker.jobs.quantize import QuantizeSpec

_PEOPLE: dict[str, Any] = {"name": None, "labels": {}}
"""What of a spec is for people and changes no result."""


@dataclass(frozen=True)
class Finished:
    """A succeeded job. measured: the results' part about one model. files: name → path in the store."""

    job_id: str
    measured: Mapping[str, Any]
    epochs: int
    files: Mapping[str, Path]


class Shelf:
    """The succeeded jobs of a data directory that started from one checkpoint. Only read; no service need run."""

    def __init__(self, data_dir: Path, checkpoint: Path) -> None:
        self.files = data_dir / "files"
        self.database = sqlite3.connect(f"file:{data_dir / 'tonok.db'}?mode=ro", uri=True)
        self.database.row_factory = sqlite3.Row
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        self.model_ids = {
            row["id"]
            for row in self.database.execute(
                "SELECT model.id FROM model JOIN artifact ON artifact.id = json_extract(model.files, '$.checkpoint') "
                "WHERE artifact.sha256 = ?",
                [digest],
            )
        }

    def find(self, wanted: JobSpec) -> Finished | None:
        """The job that was asked the same of this checkpoint. One of several bit widths answers for each of them."""
        rows = self.database.execute("SELECT * FROM job WHERE status = 'succeeded' AND kind = ?", [wanted.kind])
        for row in rows:
            done = parse_spec(json.loads(row["resolved_spec"]))
            if getattr(done, "model_id", None) not in self.model_ids:
                continue
            same: dict[str, Any] = {**_PEOPLE, "model_id": getattr(wanted, "model_id", None)}
            measured = json.loads(row["result"])
            part = ""
            if isinstance(done, QuantizeSpec) and isinstance(wanted, QuantizeSpec):
                [bits] = wanted.bit_widths
                if bits not in done.bit_widths:
                    continue
                same["bit_widths"] = (bits,)
                measured = next(width for width in measured["widths"] if width["bit_width"] == bits)
                part = f"quantizing to {bits} bit"
            if done.model_copy(update=same) == wanted.model_copy(update=_PEOPLE):
                epochs = len({name for name in self._list_epochs(row["id"]) if name.startswith(part)})
                return Finished(row["id"], measured, epochs, self._list_files(row["id"]))
        return None

    def _list_epochs(self, job_id: str) -> Iterator[str]:
        """The stretch and number of each epoch, as its event says it."""
        events = self.database.execute("SELECT data FROM jobevent WHERE job_id = ? AND type = 'progress'", [job_id])
        for row in events:
            message = json.loads(row["data"]).get("message") or ""
            if ": epoch " in message:
                yield message.partition(",")[0]

    def _list_files(self, job_id: str) -> dict[str, Path]:
        rows = self.database.execute("SELECT name, sha256 FROM artifact WHERE job_id = ?", [job_id])
        return {row["name"]: self.files / row["sha256"][:2] / row["sha256"][2:] for row in rows}
