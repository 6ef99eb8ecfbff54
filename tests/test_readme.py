"""The commands of the README, run as they stand there against a service of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.demo.server import run_service
from storage.settings import Settings

CHECKOUT = Path(__file__).parents[1]


def read_block(name: str) -> str:
    """The shell commands below `<!-- tested: name -->`."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    [block] = re.finditer(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", readme, flags=re.DOTALL)
    return block.group(1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_the_commands_of_the_api_section_all_succeed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commands = read_block("api")
    assert commands.count("http://127.0.0.1:8000") == 1
    with run_service(Settings(data_dir=tmp_path), tmp_path) as service:
        script = commands.replace("http://127.0.0.1:8000", service.client.base_url)
        shell = ["bash", "-euo", "pipefail", "-c", script]
        # A folder of the reader's own: what the commands download must not stay in the checkout.
        finished = subprocess.run(
            shell, check=False, capture_output=True, text=True, timeout=3600, cwd=tmp_path_factory.mktemp("reader")
        )
    assert finished.returncode == 0, finished.stderr + finished.stdout[-4000:]
    assert "event: done" in finished.stdout
    assert '"kb"' in finished.stdout
