"""Rules of the house that a linter cannot see."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from storage.settings import Settings
from worker.jobs import SPECS

CHECKOUT = Path(__file__).parents[1]
PACKAGES = ("service", "worker", "storage", "tonok", "tests")
SOURCES = sorted(file for package in PACKAGES for file in (CHECKOUT / package).rglob("*.py"))
HEAVY = {
    "constriction",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "torchvision",
}

PROCESSES = ("service.app", "service.supervisor", "service.demo.__main__", "worker.jobs")
READERS = (
    "worker.dataset_files.options",
    "worker.dataset_files.summary",
    "worker.network.importers.onnx_file",
    "worker.network.torchvision_records",
)
"""By these the API refuses a file at once."""


@pytest.mark.slow
@pytest.mark.parametrize("module", [*PROCESSES, *READERS])
def test_what_the_api_process_imports_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert HEAVY & set(loaded.stdout.split()) == set()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["compose", "writers.pdf", "writers.web", "writers.word"])
def test_the_report_loads_no_torch(module: str) -> None:
    script = f"import sys, worker.report.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert {"constriction", "safetensors", "sklearn", "torch", "torchvision"} & set(loaded.stdout.split()) == set()


def count_lines(folder: str) -> int:
    """Of the Python files in it."""
    return sum(len(file.read_text("utf-8").splitlines()) for file in (CHECKOUT / folder).rglob("*.py"))


def test_the_core_stays_small() -> None:
    assert count_lines("worker/core") <= 6500


def test_only_transaction_commits() -> None:
    committing = {file.relative_to(CHECKOUT).as_posix() for file in SOURCES if ".commit()" in file.read_text("utf-8")}
    assert committing <= {"storage/database.py", "tests/test_architecture.py"}


def test_tails_of_the_binomial_distribution_are_computed_in_one_place() -> None:
    theirs = re.compile(r"scipy\.stats import [^\n]*\bbinom\b|\bstats\.binom\b|\.lgamma\(")
    computing = {
        file.relative_to(CHECKOUT).as_posix()
        for file in SOURCES
        if theirs.search(file.read_text("utf-8")) and "tests" not in file.relative_to(CHECKOUT).parts
    }
    assert computing == {"worker/binomial.py"}


def test_the_data_of_a_model_come_by_way_of_what_its_file_says() -> None:
    # A job that is given a model and loads the data set by itself forgets the file's normalisation, classes and split.
    loading = {
        file.relative_to(CHECKOUT).as_posix()
        for file in SOURCES
        if re.search(r"\bload_dataset\(", file.read_text("utf-8")) and "tests" not in file.relative_to(CHECKOUT).parts
    }
    from_scratch = {"worker/jobs/train.py", "worker/study_report.py"}
    assert loading == {"worker/datasets/__init__.py", "worker/core/lineage.py"} | from_scratch


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = {file.name: lines for file in SOURCES if (lines := len(file.read_text("utf-8").splitlines())) > 420}
    assert long == {}


def test_the_folder_of_jobs_holds_kinds_and_little_else() -> None:
    files = {file.stem for file in (CHECKOUT / "worker" / "jobs").glob("*.py")}
    assert len(files) <= 10
    kinds = {spec.__module__.rpartition(".")[2] for spec in SPECS.values()}
    assert files - kinds == {"__init__"}


def test_every_module_is_called_after_what_it_holds() -> None:
    assert [file for file in SOURCES if file.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def read_pins(lock: str) -> dict[str, str]:
    """Package → version and markers, of a lock file."""
    text = (CHECKOUT / lock).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements-api.lock", "requirements-worker.lock"])
def test_an_image_installs_what_was_tested(lock: str) -> None:
    assert read_pins(lock).items() <= read_pins("requirements.lock").items()


def test_the_lock_files_hold_what_the_project_asks_for_and_the_api_no_torch() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=~;\[ ]", requirement, maxsplit=1)[0].replace("_", "-") for requirement in requirements}

    extras = project["optional-dependencies"]
    assert names(project["dependencies"]) <= read_pins("requirements-api.lock").keys()
    assert names(project["dependencies"] + extras["worker"]) <= read_pins("requirements-worker.lock").keys()
    assert names(project["dependencies"] + extras["worker"] + extras["dev"]) <= read_pins("requirements.lock").keys()
    assert HEAVY & read_pins("requirements-api.lock").keys() == set()


@pytest.mark.parametrize(
    "file", ["requirements.lock", "requirements-api.lock", "requirements-worker.lock", "Dockerfile"]
)
def test_no_package_index_is_named(file: str) -> None:
    text = (CHECKOUT / file).read_text("utf-8")
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|pypi\.|PIP_INDEX", text)


def test_the_settings_page_lists_every_setting_with_its_default_and_meaning() -> None:
    expected = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        expected.append(f"| `TONOK_{name.upper()}` | {shown} | {field.description} |")
    page = (CHECKOUT / "docs" / "operations.md").read_text("utf-8")
    assert re.findall(r"^\| `TONOK_.*$", page, flags=re.MULTILINE) == expected


def test_every_make_command_of_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    documents = [
        (CHECKOUT / name).read_text("utf-8")
        for name in ("README.md", "CONTRIBUTING.md", ".ci/run", "docs/operations.md")
    ]
    call = re.compile(r"(?:^|`)make (?:PYTHON=\S+ |--\S+ )?([a-z]+)", flags=re.MULTILINE)
    named = {command for document in documents for command in call.findall(document)}
    assert {"demo", "test", "serve", "check", "bench"} <= named <= targets


def test_the_index_of_decisions_names_every_page_once() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    linked = re.findall(r"\]\(([\w.-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert sorted(linked) == sorted(page.name for page in folder.glob("*.md") if page.name != "README.md")
