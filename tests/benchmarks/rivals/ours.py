"""Our own jobs on the same checkpoint: taken from a service that did them, or run here in a folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.settings import Settings
from tests.benchmarks.rivals.shelf import Shelf
from tests.benchmarks.rivals.task import BIT_WIDTHS, TaskFiles
from worker.catalog import ArtifactKind
from worker.dataset_location import DatasetLocation
from worker.job_spec import FinishedStep, Step
from worker.jobs import parse_spec, run_spec
from worker.progress import Progress
from worker.workspace import DatasetRecord, ModelRecord

BASELINE_EPOCHS = 16


@dataclass
class FolderContext:
    """A JobContext. models: id → (file, summary), shared by the jobs of a run. Finished steps stay in `folder`."""

    folder: Path
    datasets: DatasetLocation
    threads: int
    models: dict[str, tuple[Path, Mapping[str, Any]]]
    upload: Path = Path()
    job_id: str = "job_bench"
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def epochs_file(self) -> Path:
        """A line for each epoch that ended; one that an interrupted run did twice stands there twice."""
        return self.folder / "epochs.txt"

    def count_epochs(self) -> int:
        """Epochs that the job trained, whatever it is."""
        return len(set(self.epochs_file.read_text("utf-8").splitlines())) if self.epochs_file.exists() else 0

    def model_file(self, model_id: str) -> Path:
        return self.models[model_id][0]

    def upload_file(self) -> Path:
        return self.upload

    def model_summary(self, model_id: str) -> Mapping[str, Any]:
        return self.models[model_id][1]

    def artifact_path(self, name: str, kind: ArtifactKind) -> Path:  # noqa: ARG002 - a folder knows no kinds
        return self.folder / name

    def check_room(self, num_bytes: int) -> None:
        """A folder has room for everything."""

    def save_model(self, record: ModelRecord) -> str:
        model_id = f"mdl_{len(self.models)}"
        self.models[model_id] = (self.folder / next(iter(record.files.values())), record.summary)
        return model_id

    def dataset_summary(self, dataset_id: str) -> Mapping[str, Any]:
        raise NotImplementedError("no job of this benchmark reads a data set that somebody brought")

    def save_dataset(self, record: DatasetRecord) -> str:
        raise NotImplementedError("no job of this benchmark brings a data set")

    def run_steps(self, steps: Mapping[str, Step], *, later_s: float = 0.0) -> Mapping[str, FinishedStep]:
        raise NotImplementedError("no job of this benchmark has steps")

    def report(self, progress: Progress) -> None:
        if progress.message is None:
            return
        print(f"  {progress.message}", flush=True)
        if progress.epoch is not None:
            with self.epochs_file.open("a", encoding="utf-8") as stream:
                stream.write(progress.message.partition(",")[0] + "\n")

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self.warnings.append(message)


def train_baseline(root: Path, settings: Settings, threads: int, max_train_examples: int | None) -> Path:
    """The checkpoint of a train job with `BASELINE_EPOCHS`; trained once, then kept below `root`."""
    folder = root / f"baseline-{max_train_examples or 'all'}"
    path = folder / "fashion_cnn.safetensors"
    done = folder / "done"
    if not done.exists():
        context = FolderContext(folder, _locate(settings), threads, {})
        spec = {"kind": "train", "epochs": BASELINE_EPOCHS, "max_train_examples": max_train_examples}
        run_spec(parse_spec(spec), context)
        done.touch()
    return path


class Ours:
    """The jobs of a task, each in a folder of its own beside the rivals'."""

    def __init__(self, task: TaskFiles, settings: Settings, shelf: Shelf | None) -> None:
        self.task, self.datasets, self.shelf = task, _locate(settings), shelf
        self.models: dict[str, tuple[Path, Mapping[str, Any]]] = {}
        self.folder = task.folder / "tonok"

    def measure_baseline(self) -> str:
        """The checkpoint itself, which all drops and ratios are against; returns its model's id."""
        result = self._run("float32", {"kind": "import"}, "safetensors", "imported.safetensors")
        return str(result["model_id"])

    def measure(self) -> None:
        """Writes one record for each variant; those that were done before are kept."""
        common = {"model_id": self.measure_baseline(), "seed": self.task.seed}
        quantize = {"kind": "quantize", **common}
        for bits in BIT_WIDTHS:
            self._run(
                f"quantize {bits} bit", {**quantize, "bit_widths": [bits]}, ".tonok", f"quantized-{bits}bit.tonok"
            )
        without = {**quantize, "bit_widths": [4], "distillation": False}
        self._run("quantize 4 bit, no teacher", without, ".tonok", "quantized-4bit.tonok")
        budget = self.task.budget
        channels = {
            "kind": "prune", "pattern": "channels", "scope": "uniform", "sparsity": budget.channel_sparsity,
            "fine_tune_epochs": budget.channel_epochs, **common,
        }  # fmt: skip
        self._run("prune channels", channels, "safetensors", "pruned-channels-one_shot.safetensors")
        compress = {"kind": "compress", "effort": "quick", **common}
        self._run("compress quick", compress, ".tonok", "compressed-quick.tonok")

    def _run(self, name: str, spec: dict[str, Any], artifact: str, file: str) -> Mapping[str, Any]:
        """Runs a job and keeps what was measured. The import is done each time: the others start from its model."""
        folder = self.folder / re.sub(r"\W+", "-", name)
        kept = folder / "variant.json"
        if kept.exists() and spec["kind"] != "import":
            print(f"tonok {name}: kept from before", flush=True)
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        wanted = parse_spec(spec)
        done = self.shelf.find(wanted) if self.shelf is not None else None
        if done is not None:
            print(f"tonok {name}: {done.job_id}", flush=True)
            shutil.copyfile(done.files[file], folder / file)
            result, source, epochs = done.measured, done.job_id, done.epochs
        else:
            print(f"tonok {name}", flush=True)
            context = FolderContext(folder, self.datasets, self.task.threads, self.models, self.task.checkpoint)
            result, source, epochs = run_spec(wanted, context).result, "run here", context.count_epochs()
        measured = result["evaluation"]
        record = {
            "variant": name,
            "epochs": epochs,
            "spec": spec,
            "source": source,
            "artifacts": [
                {
                    "artifact": artifact,
                    "files": [file],
                    **{
                        count: {split: measured[split][count] for split in ("validation", "test")}
                        for count in ("num_correct", "num_examples")
                    },
                }
            ],
        }
        kept.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return result


def _locate(settings: Settings) -> DatasetLocation:
    return DatasetLocation(settings.resolved_dataset_dir, settings.dataset_mirror)
