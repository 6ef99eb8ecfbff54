"""What the service is held against: FastAPI, a body checked by pydantic, one row in SQLite, one commit per request.

Two ways to write that. `sqlmodel` is FastAPI's own tutorial: a session per request, a table class, add, commit,
refresh, a response model. `by-hand` leaves out what can be left out: one connection, one INSERT, no ORM, no response
model.
Both are as durable as the service (WAL, synchronous=FULL), use its SQLite, and are served by uvicorn with the settings
that the service has; the client is the same. Neither has events, idempotency, limits, owners, indices or links.
"""

from __future__ import annotations

import argparse
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from pysqlite3 import dbapi2
from sqlalchemy import JSON, Column, create_engine, event
from sqlmodel import Field, Session, SQLModel

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=15000")


class Body(BaseModel):
    """Two fields of a job."""

    dataset: str
    labels: dict[str, str]


class Item(SQLModel, table=True):
    """What is kept of them."""

    id: str = Field(primary_key=True)
    dataset: str
    labels: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime


class ItemAnswer(BaseModel):
    """What is answered."""

    id: str
    dataset: str
    labels: dict[str, str]
    created_at: datetime


def create_app_with_sqlmodel(path: str) -> FastAPI:
    """The lock is no part of the tutorial: without it, writers sleep in SQLite and the rate is lower."""
    engine = create_engine(f"sqlite:///{path}", module=dbapi2, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    SQLModel.metadata.create_all(engine, [Item.__table__])  # type: ignore[attr-defined]
    lock = threading.Lock()
    app = FastAPI()

    def open_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    @app.post("/items", status_code=202, response_model=ItemAnswer)
    def insert(body: Body, session: Session = Depends(open_session)) -> Item:  # noqa: B008
        item = Item(id=uuid.uuid4().hex, dataset=body.dataset, labels=body.labels, created_at=datetime.now(UTC))
        with lock, session.begin():
            session.add(item)
        session.refresh(item)
        return item

    return app


def create_app_by_hand(path: str) -> FastAPI:
    """One connection with a lock around it: that is faster than connections that wait for one another in SQLite."""
    connection = dbapi2.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, body TEXT, created_at TEXT)")
    lock = threading.Lock()
    app = FastAPI()

    @app.post("/items", status_code=202)
    def insert(body: Body) -> dict[str, str]:
        row = (uuid.uuid4().hex, body.model_dump_json(), datetime.now(UTC).isoformat())
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO item VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")
        return {"id": row[0]}

    return app


WAYS = {"sqlmodel": create_app_with_sqlmodel, "by-hand": create_app_by_hand}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("path")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    app = WAYS[arguments.way](arguments.path)
    uvicorn.run(app, port=arguments.port, log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    main()
