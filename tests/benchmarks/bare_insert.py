"""What the service is held against: FastAPI, a body checked by pydantic, one row in SQLite, one commit per request.

As durable as the service (WAL, synchronous=FULL) and served by the same settings of uvicorn; the client is the same.
Nothing else is done: no event, no idempotency, no queue limit, no links.
"""

from __future__ import annotations

import argparse
import threading
import uuid
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from pysqlite3 import dbapi2


class Body(BaseModel):
    """Two fields of a job."""

    dataset: str
    labels: dict[str, str]


def create_bare_app(path: str) -> FastAPI:
    """One connection with a lock around it: that is faster than connections that wait for one another in SQLite."""
    app = FastAPI()
    connection = dbapi2.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, body TEXT, created_at TEXT)")
    lock = threading.Lock()

    @app.post("/items", status_code=202)
    def insert(body: Body) -> dict[str, str]:
        row = (uuid.uuid4().hex, body.model_dump_json(), datetime.now(UTC).isoformat())
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO item VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")
        return {"id": row[0]}

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    uvicorn.run(
        create_bare_app(arguments.path), port=arguments.port, log_config=None, access_log=False, server_header=False
    )


if __name__ == "__main__":
    main()
