"""The commands of the documents, run as they stand there against a service of their own."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from service.demo.server import run_service
from storage.settings import Settings
from tests.variants import SEED
from tests.worker.jobs.brought_networks import Residual
from tests.worker.jobs.test_import_dataset import write_pictures
from tonok import Model
from worker.network.importers.file_kind import EXPORT_LINE

CHECKOUT = Path(__file__).parents[1]
OWN_LINE = EXPORT_LINE.replace("3, 32, 32", "1, 28, 28")
PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]


def read_block(page: str, name: str) -> str:
    """The commands below `<!-- tested: name -->`."""
    text = (CHECKOUT / page).read_text("utf-8")
    [block] = re.finditer(rf"<!-- tested: {name} -->\n```(?:sh|python)\n(.*?)```", text, flags=re.DOTALL)
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
    ("page", "name", "shown"),
    [
        ("README.md", "first", '"file_bytes"'),
        ("docs/using.md", "api", '"kb"'),
        ("docs/devices.md", "devices", '"num_identical":'),
    ],
)
def test_the_commands_all_succeed(
    page: str, name: str, shown: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_commands(read_block(page, name), shown, tmp_path, tmp_path_factory.mktemp("reader"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_a_network_of_ones_own_comes_in_by_the_commands(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = tmp_path_factory.mktemp("reader")
    monkeypatch.chdir(reader)
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecation
        exec(read_block("README.md", "own"), {"torch": torch, "model": Residual()})
    run_commands(read_block("docs/using.md", "own"), '"reached_sparsity"', tmp_path, reader)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_a_network_for_other_classes_is_fine_tuned_by_the_commands(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = tmp_path_factory.mktemp("reader")
    monkeypatch.chdir(reader)
    torch.manual_seed(SEED)
    saving = read_block("docs/using.md", "torchvision")
    assert saving.count('weights="DEFAULT"') == 1
    exec(saving.replace('weights="DEFAULT"', "weights=None"))  # which would be downloaded
    write_pictures(reader / "pictures.zip", {"train": 12, "test": 4})
    told = run_commands(
        read_block("docs/using.md", "other classes"), '"replaced_layer":"classifier.1"', tmp_path, reader
    )
    assert '"input_shape":[3,64,64]' in told
    assert re.search(r'"class_names":\["[^"]+"(,"[^"]+"){2}\]', told)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_pictures_of_ones_own_come_in_by_the_commands(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    reader = tmp_path_factory.mktemp("reader")
    write_pictures(reader / "pictures.zip", {"train": 40, "test": 10})
    run_commands(read_block("docs/using.md", "pictures"), '"file_bytes"', tmp_path, reader)
    assert (reader / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_python_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = tmp_path / "reader"
    reader.mkdir()
    monkeypatch.chdir(reader)
    Image.new("L", (28, 28)).save("digit.png")
    said: dict[str, Any] = {}
    with run_service(Settings(data_dir=tmp_path), tmp_path) as service:
        monkeypatch.setenv("TONOK_URL", service.client.base_url)
        # One epoch does: how much is learned is not looked at.
        exec(read_block("docs/using.md", "python").replace("epochs=20", "epochs=1"), said)
        pruned: Model = said["p"].model
        assert pruned.sparsity == pytest.approx(0.8, abs=0.001)
        assert pruned.parent_model_id == said["m"].model.id
        assert said["p"].result.evaluation.test.accuracy == pruned.accuracy
        saved = (reader / "pruned.safetensors").read_bytes()
        assert {entry.measure: entry.bytes for entry in pruned.size.entries}["float32"] == len(saved)  # type: ignore[union-attr]
        assert (reader / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_and_the_refusals_recommend_the_same_line() -> None:
    shown, recommended = (ast.dump(ast.parse(line)) for line in (read_block("README.md", "own"), OWN_LINE))
    assert shown == recommended


def run_commands(commands: str, shown: str, tmp_path: Path, reader: Path) -> str:
    """What they print, `shown` among it."""
    assert commands.count("http://127.0.0.1:8000") == 1
    with run_service(Settings(data_dir=tmp_path), tmp_path) as service:
        script = commands.replace("http://127.0.0.1:8000", service.client.base_url)
        shell = ["bash", "-euo", "pipefail", "-c", script]
        # A folder of the reader's own: what the commands download must not stay in the checkout.
        finished = subprocess.run(shell, check=False, capture_output=True, text=True, timeout=3600, cwd=reader)
    assert finished.returncode == 0, finished.stderr + finished.stdout[-4000:]
    assert "event: done" in finished.stdout
    assert shown in finished.stdout
    return finished.stdout
