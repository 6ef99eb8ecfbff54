"""What the results of several kinds share: the model that was made, and how its trainings went."""

from __future__ import annotations

from pydantic import Field

from worker.catalog import NotMeasuredReason
from worker.model_summary import (
    AccuracyDrop,
    AnswerRecords,
    DropIntervals,
    Evaluations,
    Latency,
    ModelHealth,
    ModelLayer,
    Recorded,
    SizeLedger,
    Sparsity,
)


class Epoch(Recorded):
    """One epoch of a training. Accuracies are fractions; a loss is null where it was not finite."""

    epoch: int = Field(description="Counts from 1.")
    train_loss: float | None = Field(description="Running mean over the epoch's batches, in nats.")
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float
    learning_rate: float
    seconds: float
    balanced_validation_accuracy: float | None = Field(
        None, description="Mean over the classes, where the training weighs them: then it decides which epoch is best."
    )


class TrainingAttempt(Recorded):
    """One try at a training, at one learning rate."""

    learning_rate: float
    epochs: int = Field(description="That were finished.")
    best_validation_accuracy: float | None = Field(
        description="Null without a finished epoch. The mean over the classes where the training weighs them."
    )
    reason: str | None = Field(
        description="What was wrong with it: `loss_not_finite`, `forgot_what_it_knew`, `worse_than_start`, "
        "`at_chance`, `loss_above_guessing`; null where nothing was."
    )
    ended: bool = Field(description="It ran to its end.")


class TrainingRecord(Recorded):
    """How one training of a job went."""

    stage: str = Field(description="What was trained, in words.")
    attempts: tuple[TrainingAttempt, ...] = Field(description="In their order; a later one has a smaller rate.")
    kept: int | None = Field(description="The attempt whose weights are kept; null for those that it began with.")
    learned: bool
    chance_accuracy: float = Field(description="Share of the largest class on validation.")
    start_accuracy: float


class ClassScores(Recorded):
    """Precision and recall of one class, or a mean of them all."""

    precision: float
    recall: float
    f1_score: float = Field(alias="f1-score")
    support: float = Field(description="Pictures of that class; where there are none, its recall says nothing.")


ClassificationReport = dict[str, ClassScores | float]
"""scikit-learn's: class name → its scores, beside `accuracy`, `macro avg` and `weighted avg`."""


class JobBaseline(Recorded):
    """The model that a job started from."""

    model_id: str
    validation_accuracy: float
    test_accuracy: float
    problems: tuple[str, ...] | None = Field(None, description="What is wrong with it.")


class StoredModelResult(Recorded):
    """The part of a result that every kind has which makes a model. Null: not recorded yet by the version that ran, or
    not measured.
    """

    model_id: str
    architecture: str | None = None
    parameters: int | None = None
    input_shape: tuple[int, ...] | None = Field(None, description="Channels, height, width.")
    class_names: tuple[str, ...] | None = None
    layers: tuple[ModelLayer, ...] | None = None
    not_measured: NotMeasuredReason | None = Field(None, description="Why; null where it was measured.")
    evaluation: Evaluations | None = None
    correctness: AnswerRecords | None = None
    health: ModelHealth | None = None
    accuracy_drop: AccuracyDrop | None = Field(None, description="Null where the job started from no model.")
    accuracy_drop_interval: DropIntervals | None = None
    sparsity: Sparsity
    size: SizeLedger
    macs: int = Field(description="Multiply-accumulates for one picture.")
    latency: Latency | None = Field(None, description="Null for integers, which are exact here but not fast.")
    classification_report: ClassificationReport | None = Field(
        None, description="On test: class name → its scores, and their means."
    )
    confusion_matrix: tuple[tuple[int, ...], ...] | None = Field(
        None, description="On test: rows are classes, columns answers."
    )
    environment: dict[str, str] | None = Field(None, description="What computed it: names and versions.")
    baseline: JobBaseline | None = None
    trainings: tuple[TrainingRecord, ...] | None = Field(None, description="In the order in which they ended.")


class ModelResult(StoredModelResult):
    """The same where the model was measured."""

    evaluation: Evaluations
    classification_report: ClassificationReport = Field(
        description="On test: class name → its scores, and their means."
    )
    confusion_matrix: tuple[tuple[int, ...], ...] = Field(description="On test: rows are classes, columns answers.")
