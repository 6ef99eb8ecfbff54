from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient

from service.app import create_app
from service.protocol import ProblemProtocol
from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings
from tests.service.conftest import Workshop
from tests.service.processes import PATIENCE_S, answers, wait_for
from tonok import Client, Connection


@pytest.fixture
def port(settings: Settings, data_dir: Path) -> Iterator[int]:  # noqa: ARG001 - where its data lie
    """Where an API listens, in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    found: int = listening.getsockname()[1]
    app = create_app(settings.model_copy(update={"port": found}))
    config = uvicorn.Config(app, http=ProblemProtocol, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(running.serve(sockets=[listening]),))
    thread.start()
    wait_for(lambda: answers(found, "/healthz"))
    yield found
    running.should_exit = True
    thread.join(PATIENCE_S)


@pytest.fixture
def workshop(settings: Settings, database: Database, files: FileStore) -> Iterator[Workshop]:
    with TestClient(create_app(settings)) as client:
        yield Workshop(client, database, files)


@pytest.fixture
def client(port: int) -> Client:
    return Client(Connection(f"http://127.0.0.1:{port}", tries=1))
