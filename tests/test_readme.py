"""The commands of the documents, run as they stand there against a service of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.demo.server import run_service
from storage.settings import Settings

CHECKOUT = Path(__file__).parents[1]
PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]


def read_block(page: str, name: str) -> str:
    """The shell commands below `<!-- tested: name -->`."""
    text = (CHECKOUT / page).read_text("utf-8")
    [block] = re.finditer(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", text, flags=re.DOTALL)
    return block.group(1)


def test_the_readme_is_read_in_one_sitting() -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 120


@pytest.mark.parametrize("page", sorted(path.relative_to(CHECKOUT) for path in PAGES), ids=str)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", (CHECKOUT / page).read_text("utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        linked = (CHECKOUT / page.parent / target) if target else CHECKOUT / page
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, anchor


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
@pytest.mark.parametrize(
    ("page", "name", "shown"), [("README.md", "first", '"file_bytes"'), ("docs/using.md", "api", '"kb"')]
)
def test_the_commands_all_succeed(
    page: str, name: str, shown: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commands = read_block(page, name)
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
    assert shown in finished.stdout
