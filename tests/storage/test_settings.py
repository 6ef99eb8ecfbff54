"""What a process does with settings that cannot hold, and with those that say nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.demo.server import build_environment
from storage.settings import Settings, load_settings

CHECKOUT = Path(__file__).parents[2]
PROGRAMS = (
    "service", "worker", "service.supervisor", "service.keys list", "storage check", "worker.health", "service.demo",
    "service.demo.study",
)  # fmt: skip
POSTGRESQL = "postgresql+psycopg://tonok:hunter2@db.example/tonok"


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TONOK_")]:
        monkeypatch.delenv(variable)


def read_refusal(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which a process leaves."""
    with pytest.raises(SystemExit) as left:
        load_settings()
    assert left.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_refuses_a_database_that_is_not_supported_in_one_line(program: str, tmp_path: Path) -> None:
    environment = os.environ | {"TONOK_DATABASE_URL": POSTGRESQL, "TONOK_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-X", "importtime", "-m", *program.split()]
    left = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in left.stderr.splitlines() if not line.startswith("import time:")]
    assert (left.returncode, left.stdout, len(lines)) == (2, "", 1), lines
    assert lines[0].startswith("TONOK_DATABASE_URL: ")
    assert "hunter2" not in lines[0]
    # Half a minute of loading first would be no way to say so.
    assert "torch" not in {line.rpartition("|")[2].strip() for line in left.stderr.splitlines()}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TONOK_DATABASE_URL", POSTGRESQL),
        ("TONOK_DATABASE_URL", "mysql://root@h/db"),
        ("TONOK_DATABASE_URL", "sqlite+aiosqlite:////tmp/x.db"),
        ("TONOK_DATABASE_URL", "no URL at all"),
        ("TONOK_DATABASE_URL", "sqlite://h:port/x.db"),
        ("TONOK_DATABASE_URL", "sqlite://"),
        ("TONOK_DATABASE_URL", "sqlite:///"),
        ("TONOK_DATABASE_URL", "sqlite:///:memory:"),
        ("TONOK_DATABASE_URL", "sqlite:///file::memory:?uri=true"),
        ("TONOK_DATABASE_URL", "sqlite:///file:x?mode=memory&cache=shared&uri=true"),
        ("TONOK_DATABASE_URL", "sqlite:////tmp/x.db?nonsense=1"),
        ("TONOK_DATABASE_URL", f"sqlite:///{__file__}/x.db"),
        ("TONOK_DATABASE_URL", f"sqlite:///{CHECKOUT}"),
        ("TONOK_DATA_DIR", __file__),
        ("TONOK_DATA_DIR", f"{__file__}/below"),
        ("TONOK_DATA_DIR", "x" * 5000),
        ("TONOK_DATA_DIR", "~nobody-of-that-name/tonok"),
        ("TONOK_DATASET_DIR", __file__),
        ("TONOK_PORT", "many"),
        ("TONOK_PORT", "65536"),
        ("TONOK_SLOTS", "0"),
        ("TONOK_REQUIRE_KEY", "perhaps"),
        ("TONOK_LEASE_TTL_S", "nan"),
        ("TONOK_LEASE_TTL_S", "inf"),
        ("TONOK_CANCEL_GRACE_S", "-1"),
        ("TONOK_LOG_FORMAT", "xml"),
    ],
)
def test_a_value_that_cannot_hold_is_refused_in_one_line(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    (line,) = read_refusal(capsys)
    assert line.startswith(f"{variable}: ")
    if variable == "TONOK_DATABASE_URL":  # it may hold a password
        assert value not in line


def test_each_wrong_variable_has_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"TONOK_DATABASE_URL": POSTGRESQL, "TONOK_PORT": "many", "TONOK_SLOTS": "none"}
    for variable, value in wrong.items():
        monkeypatch.setenv(variable, value)
    assert {line.partition(":")[0] for line in read_refusal(capsys)} == wrong.keys()


@pytest.mark.parametrize("url", ["sqlite:///{}/tonok.db", "sqlite+pysqlite:///{}/not/there/yet/tonok.db"])
def test_a_file_of_sqlite_is_taken_wherever_it_is(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONOK_DATABASE_URL", url.format(tmp_path))
    assert load_settings().resolved_database_url == url.format(tmp_path)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_an_empty_variable_is_one_that_is_not_set(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = load_settings()
    monkeypatch.setenv(f"TONOK_{field.upper()}", "")
    assert load_settings() == unset


def test_an_empty_data_directory_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TONOK_DATA_DIR", "")
    settings = load_settings()
    assert settings.data_dir == tmp_path / ".tonok"
    # What the demo and a study start gets folders of the same kind, by name.
    environment = build_environment(settings, settings.data_dir / "studies", 12345)
    assert Path(environment["TONOK_DATA_DIR"]) == tmp_path / ".tonok" / "studies"
    assert Path(environment["TONOK_DATASET_DIR"]) == tmp_path / ".tonok" / "datasets"
