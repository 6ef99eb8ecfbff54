"""Every test gets a data directory and a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Embedded defaults in a fresh folder."""
    # `testserver` is what the test client calls the service.
    return Settings(data_dir=tmp_path / "data", allowed_hosts="testserver")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A migrated database."""
    database = Database(settings)
    database.create()
    yield database
    database.dispose()


@pytest.fixture
def files(settings: Settings) -> FileStore:
    """An empty file store."""
    return FileStore(settings)
