"""The results of a study's steps as records: the only place of the report that knows how a result is written down.

What jobs of earlier versions did not record is None or empty here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from worker.intervals import compute_wilson_interval
from worker.paired import Correctness, read_correctness
from worker.report.facts import StepFact
from worker.report.language.values import Value, term, text
from worker.results.compress import AblationRow, CompressControl, DropReserve
from worker.results.older_techniques import add_applied
from worker.techniques import AppliedTechnique

Epochs = Sequence[Mapping[str, Any]]
"""Rows with `epoch`, and `loss` and `accuracy` of `train_` and `validation_`."""


@dataclass(frozen=True)
class Measured:
    """What one model scored on one split. interval: 95 %, Wilson, fractions."""

    num_correct: int
    num_examples: int
    loss: float
    interval: tuple[float, float]
    correctness: Correctness | None = None
    """Picture by picture; None where a job was run before that was kept."""

    @property
    def accuracy(self) -> float:
        """Fraction 0..1."""
        return self.num_correct / self.num_examples


def measure(num_correct: int, num_examples: int, loss: float, correctness: Correctness | None = None) -> Measured:
    """What was counted, with its interval."""
    return Measured(num_correct, num_examples, loss, compute_wilson_interval(num_correct, num_examples), correctness)


@dataclass(frozen=True)
class LayerZeros:
    """Zeros among a layer's weights."""

    name: str
    zeros: int
    total: int

    @property
    def sparsity(self) -> float:
        """Fraction 0..1."""
        return self.zeros / self.total


@dataclass(frozen=True)
class Probe:
    """What a search tried. accuracy: on validation, a fraction; drop: in points."""

    sparsity: float
    accuracy: float
    drop: float
    within: bool
    retrained_epochs: int


@dataclass(frozen=True)
class Candidate:
    """A file that compression might have chosen. accuracy, drop: on validation; the drop in points.

    drop_bound: what can be said of the drop on new pictures. is_safe: whether it kept the reserve. is_rounded: whether
    it was rounded for fewer bits after training. lost, gained: pictures that the baseline or it alone answers rightly.
    """

    num_bytes: int
    accuracy: float
    drop: float
    within: bool
    is_safe: bool
    is_rounded: bool
    drop_bound: float | None
    lost: int | None
    gained: int | None


@dataclass(frozen=True)
class FileControl:
    """A file that was not the aim, beside the compressed one."""

    row: CompressControl
    test: Measured

    @property
    def label(self) -> Value:
        """The language's term for its kind; the name that was stored, where that is of no kind known here."""
        return text(self.row.name) if self.row.kind is None else term(f"file_control.{self.row.kind}")


@dataclass(frozen=True)
class Latency:
    """Times of one batch. machine: two times compare where it is the same; other_cores: kept busy by others."""

    median_ms: float
    interval_ms: tuple[float, float] | None
    batch_size: int
    machine: tuple[object, ...]
    is_busy: bool
    other_cores: float | None


@dataclass(frozen=True)
class Health:
    """How sound a model is, as `worker.core.health` records it."""

    problems: Sequence[str]
    most_answered_class: int
    most_answered_share: float
    accuracy: float
    largest_class_share: float
    dead_layers: Sequence[str]
    num_not_finite: int


@dataclass(frozen=True)
class Attempt:
    """A training at one rate. reason: why it did not do, a value of `worker.learning.Trouble`."""

    learning_rate: float
    reason: str | None
    best_validation_accuracy: float | None


@dataclass(frozen=True)
class Training:
    """A training of a step. kept: which attempt, None where its start was kept."""

    stage: str
    attempts: Sequence[Attempt]
    kept: int | None
    has_learned: bool
    start_accuracy: float | None
    chance_accuracy: float | None


@dataclass(frozen=True)
class Model:
    """One stored model and everything measured of it. where: the part of the job's result that it is read from."""

    step: StepFact
    where: str
    data: Mapping[str, Any]
    """That part."""

    @property
    def model_id(self) -> str:
        return str(self.data["model_id"])

    @property
    def validation(self) -> Measured:
        return self._measured("validation")

    @property
    def test(self) -> Measured:
        return self._measured("test")

    def _measured(self, split: str) -> Measured:
        measured = self.data["evaluation"][split]
        low, high = measured["interval"]
        kept = read_correctness(self.data.get("correctness"), split)
        return Measured(measured["num_correct"], measured["num_examples"], measured["loss"], (low, high), kept)

    @property
    def sparsity(self) -> float:
        """Zeros among all weights, a fraction."""
        zeros = self.data["sparsity"]  # a bit width has it as a number, its layers beside it
        return float(zeros["total"] if isinstance(zeros, Mapping) else zeros)

    @property
    def layers(self) -> tuple[LayerZeros, ...]:
        zeros = self.data["sparsity"]
        rows = zeros["layers"] if isinstance(zeros, Mapping) else self.data.get("layer_sparsity", ())
        return tuple(LayerZeros(row["name"], row["zeros"], row["total"]) for row in rows)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Measure → bytes. `float32` is the checkpoint that every ratio is against."""
        entries = {entry["measure"]: entry["bytes"] for entry in self.data["size"]["entries"]}
        return entries | {"float32": self.reference_bytes}

    @property
    def reference_bytes(self) -> int:
        return int(self.data["size"]["reference_bytes"])

    @property
    def file_bytes(self) -> int:
        """Bytes on disk."""
        return self.sizes["file"]

    @property
    def ratio(self) -> float:
        """How many times smaller its file is than the float32 checkpoint of the baseline."""
        return self.reference_bytes / self.file_bytes

    @property
    def class_scores(self) -> Mapping[str, Mapping[str, float]]:
        """Class, `macro avg` or `weighted avg` → precision, recall, f1-score and support."""
        report = self.data["classification_report"]
        return {name: scores for name, scores in report.items() if name != "accuracy"}

    @property
    def macro(self) -> Mapping[str, float]:
        """precision, recall and f1-score, averaged over the classes."""
        return self.class_scores["macro avg"]

    @property
    def matrix(self) -> Sequence[Sequence[int]]:
        """[true class][predicted class] on test."""
        matrix: Sequence[Sequence[int]] = self.data["confusion_matrix"]
        return matrix

    @property
    def health(self) -> Health | None:
        kept = self.data.get("health")
        return None if kept is None else Health(**{field.name: kept[field.name] for field in fields(Health)})

    @property
    def history(self) -> Epochs:
        rows: Epochs = self.data.get("history") or []
        return rows

    @property
    def best_epoch(self) -> int | None:
        return self.data.get("best_epoch")

    @property
    def precision(self) -> str | None:
        """In which it was trained."""
        return self.data.get("precision")

    @property
    def augmentation(self) -> tuple[bool | None, int | None]:
        """Whether training pictures were mirrored, and by how many pixels shifted: as it says, else as asked for."""
        said, asked = self.data, self.step.spec
        return said.get("is_mirrored", asked.get("flip")), said.get("max_shift", asked.get("max_shift"))

    @property
    def num_train_examples(self) -> int | None:
        return self.data.get("num_train_examples")

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one picture."""
        return int(self.data["macs"])

    @property
    def baseline_macs(self) -> int:
        return int(self.data["baseline_macs"])

    @property
    def latency(self) -> Latency | None:
        return _read_latency(self.data.get("latency"))

    @property
    def baseline_latency(self) -> Latency | None:
        """Of the network that it came from, measured in turns with it."""
        return _read_latency(self.data.get("baseline_latency"))

    @property
    def hidden_widths(self) -> Sequence[int]:
        return self.data.get("widths") or ()

    @property
    def curve(self) -> Sequence[Probe]:
        """What a search tried."""
        return [_read_probe(row) for row in self.data["curve"]]

    @property
    def chosen_probe(self) -> Probe:
        return _read_probe(self.data["chosen"])

    @property
    def candidates(self) -> Sequence[Candidate]:
        return [_read_candidate(row) for row in self.data.get("candidates") or ()]

    @property
    def front(self) -> Sequence[Candidate]:
        """Candidates than which no smaller one is better."""
        return [_read_candidate(row) for row in self.data.get("front") or ()]

    @property
    def chosen_candidate(self) -> Candidate:
        return _read_candidate(self.data["chosen"])

    @property
    def ablation(self) -> Sequence[AblationRow]:
        """From the float32 checkpoint to the file; empty where that was not measured."""
        return [AblationRow.read(row) for row in self.data.get("ablation") or ()]

    @property
    def file_controls(self) -> Sequence[FileControl]:
        """What the file is held against; empty where none were asked for."""
        rows = [CompressControl.read(row) for row in self.data.get("controls") or ()]
        return [_read_file_control(row, self.test.num_examples) for row in rows]

    @property
    def asked_reserve(self) -> DropReserve | None:
        kept = self.data.get("reserve")
        return None if kept is None else DropReserve.read(kept)

    @property
    def reserve_shares(self) -> Mapping[str, float]:
        """`trained` and `rounded` → share of the drop that earlier versions kept back."""
        shares: Mapping[str, float] = self.data.get("reserve_shares") or {}
        return shares


def read_widths(step: StepFact) -> dict[int, Model]:
    """Bit width → model of a quantization, widest first."""
    rows = sorted(enumerate(step.result["widths"]), key=lambda pair: -pair[1]["bit_width"])
    return {row["bit_width"]: Model(step, f"result.widths[{position}]", row) for position, row in rows}


def read_environment(step: StepFact) -> Mapping[str, object]:
    """What computed a step."""
    environment: Mapping[str, object] = step.result.get("environment") or {}
    return environment


def read_applied(step: StepFact) -> Sequence[AppliedTechnique]:
    """What went into a step's model, as names with numbers."""
    told = add_applied(step.result, "techniques").get("applied") or ()
    return [AppliedTechnique.model_validate(one, extra="ignore") for one in told]


def read_sentences(step: StepFact) -> Sequence[str]:
    """The same in words, as the step recorded it."""
    return [str(line) for line in step.result.get("techniques") or ()]


def is_distilled(step: StepFact) -> bool:
    """Whether its trainings were taught by another network."""
    return bool(step.result.get("distillation"))


def read_trainings(step: StepFact) -> Sequence[Training]:
    """The trainings of a step, in order."""
    return [
        Training(
            row["stage"],
            [Attempt(one["learning_rate"], one["reason"], one["best_validation_accuracy"]) for one in row["attempts"]],
            row["kept"],
            row["learned"],
            row["start_accuracy"],
            row["chance_accuracy"],
        )
        for row in step.result.get("trainings") or ()
    ]


def _read_probe(row: Mapping[str, Any]) -> Probe:
    return Probe(row["sparsity"], row["accuracy"], row["drop"], row["within"], row["retrained_epochs"])


def _read_candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(
        num_bytes=row["num_bytes"],
        accuracy=row["accuracy"],
        drop=row["drop"],
        within=row["within"],
        is_safe=row["safe"],
        is_rounded=row.get("trade_off") is not None,
        drop_bound=row.get("drop_bound"),
        lost=row.get("lost"),
        gained=row.get("gained"),
    )


def _read_file_control(row: CompressControl, num_examples: int) -> FileControl:
    kept = None if row.test_correctness is None else {"test": row.test_correctness.to_json()}
    test = measure(round(row.test_accuracy * num_examples), num_examples, math.nan, read_correctness(kept, "test"))
    return FileControl(row, test)


def _read_latency(row: Mapping[str, Any] | None) -> Latency | None:
    if not row:
        return None
    interval, load = row.get("median_interval_ms"), row.get("load") or {}
    cores = load.get("other_cores")
    return Latency(
        median_ms=row["median_ms"],
        interval_ms=None if interval is None else (interval[0], interval[1]),
        batch_size=row["batch_size"],
        machine=tuple(row.get(name) for name in ("device", "batch_size", "threads", "run_id")),
        is_busy=bool(load.get("is_busy")),
        other_cores=cores if isinstance(cores, float) else None,
    )
