"""Answers as typed records over their JSON.

A record declares the fields that people work with; whatever else an answer holds, of this version of the service or a
newer one, is in `data`. Nothing is checked a second time: the service says what it says.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from tonok.markup import build_table


class Record:
    """A part of an answer: its fields as attributes, all of it in `data`."""

    data: Mapping[str, Any]

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    if not TYPE_CHECKING:  # for whoever checks types, there is what is declared and no more

        def __getattr__(self, name: str) -> Any:
            if name in _read_hints(type(self)) or (not name.startswith("_") and name in self.data):
                return _read(_read_hints(type(self)).get(name, Record), self.data.get(name))
            raise AttributeError(f"{type(self).__name__} has no {name}; it has {', '.join(self.data)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.data]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.data == other.data

    def __hash__(self) -> int:
        return hash(repr(self.data))

    def __repr__(self) -> str:
        shown = (f"{name}={_abridge(value)}" for name, value in self.data.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        return build_table(["", type(self).__name__], [[name, _abridge(value)] for name, value in self.data.items()])


@functools.cache
def _read_hints(record: type[Record]) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(record).items() if name != "data"}


def _read(hint: Any, value: Any) -> Any:
    """JSON as the type that is declared, and as it is where that is Any; None where there is none."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(choice for choice in get_args(hint) if choice is not types.NoneType)
    inside = get_args(hint)
    if isinstance(value, Mapping):
        if get_origin(hint) is dict:
            return {name: _read(inside[1], item) for name, item in value.items()}
        return value if hint is Any else hint(value)
    if isinstance(value, list):
        return tuple(_read(inside[0] if inside else hint, item) for item in value)
    return value


def _abridge(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return f"[… {len(value)}]" if value else "[]"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


class Evaluation(Record):
    """How often a model is right on one split; accuracies are fractions, 0–1."""

    num_correct: int
    num_examples: int
    accuracy: float
    loss: float | None
    balanced_accuracy: float | None
    interval: tuple[float, float] | None


class Evaluations(Record):
    """Both splits: every decision was made on validation."""

    validation: Evaluation | None
    test: Evaluation | None


class AccuracyDrop(Record):
    """Percentage points below the model that a job started from."""

    validation: float | None
    test: float | None
    baseline_model_id: str | None


class DropInterval(Record):
    """How sure a drop is: its 95 % interval in percentage points, and what that rests on."""

    low: float
    high: float
    basis: str
    p_value: float | None


class DropIntervals(Record):
    """How sure the drop is, per split."""

    validation: DropInterval | None
    test: DropInterval | None


class ModelHealth(Record):
    """What is wrong with a network, if anything."""

    problems: tuple[str, ...]


class LayerSparsity(Record):
    """Zeros of one layer."""

    name: str
    zeros: int
    total: int
    sparsity: float


class Sparsity(Record):
    """Zeros in total, as a fraction, and per layer."""

    total: float
    layers: tuple[LayerSparsity, ...]


class SizeEntry(Record):
    """One line of the size ledger; 1 KB is 1024 bytes."""

    measure: str
    bytes: int
    kb: float
    ratio: float | None


class SizeLedger(Record):
    """What a model weighs, by every measure."""

    entries: tuple[SizeEntry, ...]


class Latency(Record):
    """Milliseconds for a batch. Only times of one `run_id` can be compared."""

    median_ms: float
    p95_ms: float | None
    batch_size: int | None
    threads: int | None
    device: str | None
    run_id: str | None


class Epoch(Record):
    """One epoch of a training."""

    epoch: int
    train_loss: float | None
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float
    learning_rate: float


class StoredModelResult(Record):
    """What every kind of job that makes a model says of it; `not_measured` tells why it was not measured, if so."""

    model_id: str
    architecture: str | None
    class_names: tuple[str, ...] | None
    not_measured: str | None
    evaluation: Evaluations | None
    health: ModelHealth | None
    accuracy_drop: AccuracyDrop | None
    accuracy_drop_interval: DropIntervals | None
    sparsity: Sparsity
    size: SizeLedger
    macs: int
    latency: Latency | None
    confusion_matrix: tuple[tuple[int, ...], ...] | None


class ModelResult(StoredModelResult):
    """The same of a model that was measured."""

    evaluation: Evaluations
    confusion_matrix: tuple[tuple[int, ...], ...]


class TrainResult(ModelResult):
    """Of a `train` job."""

    history: tuple[Epoch, ...] | None
    best_epoch: int | None


class SparsityProbe(Record):
    """One point of the curve of accuracy against sparsity, on validation."""

    sparsity: float
    accuracy: float
    drop: float
    within: bool


class PruneResult(ModelResult):
    """Of a `prune` job."""

    chosen: SparsityProbe
    curve: tuple[SparsityProbe, ...]
    asked_sparsity: float | None
    reached_sparsity: float | None


class WidthResult(Record):
    """The model of one bit width, measured on its integers."""

    bit_width: int
    model_id: str
    evaluation: Evaluations
    accuracy_drop: AccuracyDrop | None
    size: SizeLedger
    file_bytes: int | None


class QuantizeResult(ModelResult):
    """Of a `quantize` job."""

    bit_width: int
    widths: tuple[WidthResult, ...]


class CompressCandidate(Record):
    """A file that could have been the answer; accuracy and drop are on validation."""

    name: str
    num_bytes: int
    accuracy: float
    drop: float
    within: bool
    sparsity: float | None
    bit_width: int | None


class AblationRow(Record):
    """What one technique bought, on top of those above it."""

    technique: str
    bytes_before: int
    bytes_after: int
    accuracy_before: float
    accuracy_after: float


class CompressResult(ModelResult):
    """Of a `compress` job."""

    file_bytes: int
    compression_ratio: float
    within_max_accuracy_drop: bool
    chosen: CompressCandidate
    front: tuple[CompressCandidate, ...]
    ablation: tuple[AblationRow, ...] | None


class StudyStep(Record):
    """One job of a study."""

    job_id: str
    kind: str
    model_id: str | None
    evaluation: Evaluations
    accuracy_drop: AccuracyDrop | None
    sparsity: float
    size: SizeLedger


class StudyFinding(Record):
    """One sentence of the report, and where its numbers are from."""

    key: str
    source: str
    sentence: str


class StudyResult(Record):
    """Of a `study` job."""

    model_id: str | None
    evaluation: Evaluations
    accuracy_drop: AccuracyDrop | None
    sparsity: Sparsity
    size: SizeLedger
    file_bytes: int
    compression_ratio: float
    steps: dict[str, StudyStep]
    findings: tuple[StudyFinding, ...]


class ImportResult(StoredModelResult):
    """Of a model that was brought."""


class DatasetSummary(Record):
    """The facts of a data set; pictures of each class, by split."""

    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    counts: dict[str, tuple[int, ...]]
    warnings: tuple[str, ...]


class ImportDatasetResult(DatasetSummary):
    """Of pictures that were brought: the data set that they have become."""

    dataset_id: str


class JobProgress(Record):
    """How far a job is; None where it is not known."""

    percent: float | None
    epoch: int | None
    total_epochs: int | None
    eta_s: float | None


class JobFailure(Record):
    """Why a job failed."""

    code: str
    title: str
    detail: str
    retryable: bool


class ClassProbability(Record):
    """One class and how probable the network holds it, 0–1."""

    class_index: int
    class_name: str
    probability: float


class PictureWarning(Record):
    """Why a prediction may say little."""

    code: str
    detail: str


class ModelPrediction(Record):
    """What one model says of a picture, the most probable class first."""

    model_id: str
    top: tuple[ClassProbability, ...]
    warnings: tuple[PictureWarning, ...]


class PredictResult(Record):
    """What the models say of a picture: the one asked, and the one to compare it to."""

    predictions: tuple[ModelPrediction, ...]
    agree: bool | None


class ComparedModel(Record):
    """One column of a comparison."""

    model_id: str
    name: str
    dataset: str | None
    architecture: str
    accuracy: dict[str, float | None]
    accuracy_drop: dict[str, float | None]
    accuracy_drop_interval: dict[str, DropInterval | None]
    sparsity: float | None
    size_bytes: dict[str, int]
    size_ratio: float | None
    macs: int | None
    latency: Latency | None
    speedup: float | None


class ComparedLayer(Record):
    """The sparsity of one layer in each model; None where a network has no such layer."""

    name: str
    sparsity: tuple[float | None, ...]


class Artifact(Record):
    """A file of a job."""

    id: str
    kind: str
    name: str
    media_type: str
    sha256: str
    num_bytes: int
    url: str
