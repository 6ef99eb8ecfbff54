"""What is missing is installed where it may be, and else said at the end, whoever ran the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import INSTALL_CHROMIUM, NO_CHROMIUM, SWITCH, may_install

CHECKOUT = Path(__file__).parents[1]
TESTS = f"""
import pytest

@pytest.mark.skipif(True, reason={NO_CHROMIUM!r})
@pytest.mark.parametrize("number", [1, 2])
def test_in_a_browser(number): ...

def test_on_a_disk():
    pytest.skip("needs a disk")

def test_that_runs(): ...
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [("-n", "1"), ("-p", "no:xdist")], ids=" ".join)
def test_what_did_not_run_is_said_in_the_last_lines(how: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole_file.py").write_text(
        "import pytest\npytest.importorskip('none_such', reason='needs a package')"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-rs",
        *how,
        str(tmp_path),
    ]
    ended = subprocess.run(
        [*command, "--rootdir", str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    *_, browser, disk, package, _counts = ended.stdout.splitlines()
    assert [line.split(",")[0] for line in (browser, disk, package)] == [
        "!!! NOT RUN: 2 tests", "!!! NOT RUN: 1 test", "!!! NOT RUN: 1 test",
    ]  # fmt: skip
    assert INSTALL_CHROMIUM in browser


DEBIAN, UBUNTU = {"ID": "debian"}, {"ID": "ubuntu", "ID_LIKE": "debian"}


@pytest.mark.parametrize(
    ("system", "is_root", "has_apt", "switch", "expected"),
    [
        (DEBIAN, True, True, None, True),
        ({"ID": "raspbian", "ID_LIKE": "debian"}, True, True, "1", True),
        (DEBIAN, False, True, None, False),
        (DEBIAN, True, False, None, False),
        (DEBIAN, True, True, "0", False),
        (UBUNTU, True, True, None, False),
        ({"ID": "fedora"}, True, True, None, False),
        ({}, True, True, None, False),
    ],
)
def test_nothing_is_installed_but_on_debian_as_root_and_unless_forbidden(
    system: dict[str, str], is_root: bool, has_apt: bool, switch: str | None, expected: bool
) -> None:
    environment = {} if switch is None else {SWITCH: switch}
    assert may_install(system, is_root=is_root, has_apt=has_apt, environment=environment) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="stands in for apt-get by a shell script")
@pytest.mark.parametrize("status", [0, 100])
def test_an_install_that_fails_fails_no_test(status: int, tmp_path: Path) -> None:
    """A stand-in for apt-get: what the real one does here is for the machine's owner to decide."""
    (tmp_path / "apt-get").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\necho no network >&2\nexit {status}\n'
    )
    (tmp_path / "apt-get").chmod(0o755)
    script = "from tests import needs; print(needs.install('chromium'))"
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}/bin"}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == ("None" if status == 0 else "no network")
    called = (tmp_path / "called").read_text().splitlines()
    assert [line.split()[-1] for line in called] == (["update", "chromium"] if status == 0 else ["update"])
