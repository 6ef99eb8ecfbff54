"""Every test gets a data directory and a database of its own; what did not run is said at the end."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings


def pytest_configure() -> None:
    """One thread for each process that computes, unless told otherwise: as many run at once as pytest has workers.

    That is read by torch when it is first imported, and by the workers that tests start.
    """
    threads = os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", threads)
    os.environ.setdefault("TONOK_THREADS_PER_SLOT", threads)
    # How long an example takes is the machine's load, and says nothing of what is tested.
    hypothesis.settings.register_profile(
        "tonok", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tonok")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts in the background so; what the tests start would inherit it, and not be interrupted.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that take minutes come first: begun last, they would keep one worker busy while the other has nothing."""
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Below all that pytest says itself: a line for each thing that some tests were skipped for want of."""
    yield
    reports = terminalreporter.stats.get("skipped", [])
    # (file, line, "Skipped: reason"), also of what came from another process.
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    for reason, count in sorted(reasons.items()):
        tests = "test" if count == 1 else "tests"
        terminalreporter.write_line(f"!!! NOT RUN: {count} {tests}, {reason}", yellow=True, bold=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Embedded defaults in a fresh folder."""
    # `testserver` is what the test client calls the service.
    return Settings(data_dir=tmp_path / "data", allowed_hosts="testserver")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that every migration has gone through, and nothing else."""
    folder = tmp_path_factory.mktemp("migrated")
    database = Database(Settings(data_dir=folder))
    database.create()
    database.dispose()
    return folder


@pytest.fixture
def data_dir(settings: Settings, migrated: Path) -> Path:
    """Migrated beforehand: what takes an eighth of a second is done once, not for each test."""
    shutil.copytree(migrated, settings.data_dir, dirs_exist_ok=True)
    return settings.data_dir


@pytest.fixture
def database(settings: Settings, data_dir: Path) -> Iterator[Database]:  # noqa: ARG001 - where it lies
    """A migrated database."""
    database = Database(settings)
    yield database
    database.dispose()


@pytest.fixture
def files(settings: Settings) -> FileStore:
    """An empty file store."""
    return FileStore(settings)
