"""Half a minute of what `make fuzz` does for longer, the same on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.schemathesis import run_schemathesis
from tests.fuzz.service import run_service


@pytest.mark.slow
def test_the_service_keeps_every_promise_of_its_document(tmp_path: Path) -> None:
    with run_service(tmp_path) as service:
        ended = run_schemathesis(service, seed=0, seconds=35, max_examples=3)
    assert ended.returncode == 0, ended.stdout
    assert "Stateful" in ended.stdout
