"""Jobs run in the test's own process, on digits, through a context that keeps everything in memory and one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.variants import SEED
from worker.catalog import ArtifactKind
from worker.core.checkpoint import load_checkpoint, save_checkpoint
from worker.core.measured_model import BUSY_MACHINE
from worker.dataset_location import DatasetLocation
from worker.job_spec import FinishedStep, JobOutcome, Step, StepArtifact
from worker.jobs import parse_spec, run_spec
from worker.progress import Progress
from worker.results import RESULTS
from worker.workspace import DatasetRecord, ModelRecord


class FakeContext:
    """A JobContext. `on_report`, where set, is called with every report and may raise."""

    job_id = "job_test"
    threads = 1

    def __init__(
        self,
        folder: Path,
        models: dict[str, tuple[Path, Mapping[str, Any]]],
        stored_datasets: dict[str, tuple[Path, Mapping[str, Any]]],
    ) -> None:
        self.stored_datasets = stored_datasets
        self.datasets = DatasetLocation(folder / "datasets", find_stored=lambda name: self.stored_datasets[name][0])
        self.scratch, self.folder, self.models = folder / "scratch", folder, models
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.reports: list[Progress] = []
        self.warnings: list[str] = []
        self.machine_warnings: list[str] = []
        """Those about the machine: whether there are any hangs on what else it does."""
        self.typed_warnings: list[Mapping[str, Any]] = []
        """What was told to programs."""
        self.artifacts: dict[str, ArtifactKind] = {}
        self.room_asked_for: list[int] = []
        self.steps: dict[str, JobOutcome] = {}
        """What came of each job that this one waited for."""
        self.on_report: Callable[[Progress], None] | None = None

    def model_file(self, model_id: str) -> Path:
        return self.models[model_id][0]

    def upload_file(self) -> Path:
        return self.folder / "upload"

    def model_summary(self, model_id: str) -> Mapping[str, Any]:
        return self.models[model_id][1]

    def artifact_path(self, name: str, kind: ArtifactKind) -> Path:
        self.artifacts[name] = kind
        return self.folder / name

    def check_room(self, num_bytes: int) -> None:
        self.room_asked_for.append(num_bytes)

    def save_model(self, record: ModelRecord) -> str:
        # As it comes back from the database.
        summary = json.loads(json.dumps(record.summary, allow_nan=False))
        model_id = f"mdl_{len(self.models)}"
        self.models[model_id] = (self.folder / next(iter(record.files.values())), summary)
        return model_id

    def dataset_summary(self, dataset_id: str) -> Mapping[str, Any]:
        return self.stored_datasets[dataset_id][1]

    def save_dataset(self, record: DatasetRecord) -> str:
        dataset_id = f"dst_{len(self.stored_datasets)}"
        summary = json.loads(json.dumps(record.summary, allow_nan=False))
        self.stored_datasets[dataset_id] = (self.folder / record.files["pictures"], summary)
        return dataset_id

    def run_steps(self, steps: Mapping[str, Step], *, later_s: float = 0.0) -> Mapping[str, FinishedStep]:  # noqa: ARG002
        """Runs each on the spot, in a folder of its own."""
        return {name: self._run_step(name, step) for name, step in steps.items()}

    def _run_step(self, name: str, step: Step) -> FinishedStep:
        child = FakeContext(self.folder / name, self.models, self.stored_datasets)
        outcome = run_spec(step.spec, child)
        check_result(step.spec.kind, outcome)
        self.steps[name] = outcome
        artifacts = []
        for file, kind in child.artifacts.items():
            path = child.folder / file
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            artifacts.append(StepArtifact(file, kind, digest, path.stat().st_size, path))
        return FinishedStep(
            f"job_{name}",
            step.spec.kind,
            step.spec.model_dump(mode="json"),
            json.loads(json.dumps(outcome.result)),
            outcome.output_model_id,
            tuple(artifacts),
            1.0,
            is_reused=False,
        )

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)
        if self.on_report is not None:
            self.on_report(progress)

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        if data is not None:
            self.typed_warnings.append(data)
        (self.machine_warnings if message.startswith(BUSY_MACHINE) else self.warnings).append(message)

    @property
    def epochs(self) -> list[Progress]:
        """The reports of finished epochs."""
        return [report for report in self.reports if is_epoch(report)]

    def count_epochs(self, series: str) -> list[float]:
        """Which epochs of one series of metrics were trained."""
        return [report.metrics_step for report in self.reports if is_epoch(report, series)]


def is_epoch(report: Progress, series: str | None = None) -> bool:
    """Whether a report ends an epoch, of this series if one is named. Told by its numbers, not by its words."""
    names = [name.removesuffix("train_loss") for name in report.metrics if name.endswith("train_loss")]
    return bool(names) if series is None else series in names


class Shop:
    """Runs jobs one after the other on a shelf of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, tuple[Path, Mapping[str, Any]]] = {}
        self.stored_datasets: dict[str, tuple[Path, Mapping[str, Any]]] = {}

    def open(self, name: str) -> FakeContext:
        """A context; the same name again is another attempt of the same job."""
        return FakeContext(self.folder / name, self.models, self.stored_datasets)

    def run(self, name: str, **spec: Any) -> tuple[JobOutcome, FakeContext]:
        context = self.open(name)
        outcome = run_spec(parse_spec(spec), context)
        check_result(spec["kind"], outcome)
        return outcome, context


def check_result(kind: str, outcome: JobOutcome) -> None:
    """The result is one of its kind, with no field but those of its type, and comes back from the database the same."""
    stored = json.loads(json.dumps(outcome.result, allow_nan=False))
    assert RESULTS[kind].model_validate(stored).to_json() == outcome.result == stored


TRAIN = {
    "kind": "train", "dataset": "digits", "architecture": "fashion_cnn", "widths": [4, 8, 16], "epochs": 3,
    "batch_size": 16, "learning_rate": 0.05, "flip": False, "precision": "float32", "seed": SEED,
}  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, JobOutcome, FakeContext]:
    """One small network trained on digits, for every job that starts from a model."""
    shop = Shop(tmp_path_factory.mktemp("jobs"))
    outcome, context = shop.run("train", **TRAIN)
    return shop, outcome, context


@pytest.fixture
def shop(trained: tuple[Shop, JobOutcome, FakeContext], tmp_path: Path) -> Shop:
    """A folder of the test's own, and on the shelf the trained model as `mdl_0`."""
    shop = Shop(tmp_path)
    shop.models["mdl_0"] = trained[0].models["mdl_0"]
    return shop


FORGOTTEN = 4
"""Of the ten digits."""
MODEST_DROP = 40.0
"""Points that a job may give away from there. Whatever reserve it keeps, 40 % on validation are then enough, and what
knows two digits is beyond it."""


@pytest.fixture(scope="session")
def forgetful(
    trained: tuple[Shop, JobOutcome, FakeContext], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Mapping[str, Any]]:
    """The same network, but some digits it never answers: just below 60 % by construction.

    To stay near that is certain for all that is trained on, with any seed and on any processor; so what a job decides
    with MODEST_DROP to give away does not hang on the chance in a training.
    """
    shop = Shop(tmp_path_factory.mktemp("forgetful"))
    path, _ = trained[0].models["mdl_0"]
    model, info = load_checkpoint(path)
    with torch.no_grad():
        model.get_parameter("fc2.bias")[-FORGOTTEN:] -= 15
    context = shop.open("import")
    save_checkpoint(context.upload_file(), model, info)
    outcome = run_spec(parse_spec({"kind": "import"}), context)
    return shop.models[str(outcome.output_model_id)]


@pytest.fixture
def modest(forgetful: tuple[Path, Mapping[str, Any]], tmp_path: Path) -> Shop:
    """A folder of the test's own, and on the shelf the forgetful model as `mdl_0`."""
    shop = Shop(tmp_path)
    shop.models["mdl_0"] = forgetful
    return shop
