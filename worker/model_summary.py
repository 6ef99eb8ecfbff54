"""What every result says of a model. The worker writes it, the API and the report read it: no torch here.

`None` stands for what was not measured, or not recorded yet by the version that stored it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from worker.catalog import HealthProblem, NotMeasuredReason
from worker.paired import Basis, Correctness, unpack_correctness
from worker.picture_policy import ResizePolicy


def _allow_more(schema: dict[str, Any]) -> None:
    """What an older version stored may have fields that are gone, and is answered as it was stored."""
    schema.pop("additionalProperties", None)


class Recorded(BaseModel):
    """A part of a result. Who makes one names its fields exactly; `read` takes whatever was stored."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_allow_more)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Reads what any version stored: unknown fields are left out. Raises pydantic's ValidationError."""
        return cls.model_validate(stored, extra="ignore")

    def to_json(self) -> dict[str, Any]:
        """Returns what is stored: the fields that were given, and no others. NaN stays what it is."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)


class Evaluation(Recorded):
    """How often a model is right on one split."""

    num_correct: int
    num_examples: int
    accuracy: float = Field(description="num_correct / num_examples, 0–1.")
    balanced_accuracy: float | None = Field(
        None,
        description="Mean recall of the classes that have a picture in the split, 0–1: each of them counts the same, "
        "however many pictures it has.",
    )
    loss: float | None = Field(None, description="Mean cross entropy in nats; null where it is not finite.")
    interval: tuple[float, float] | None = Field(None, description="95 % Wilson interval of the accuracy.")
    precision_macro: float | None = Field(None, description="Mean over the classes, 0–1; of the test split alone.")
    recall_macro: float | None = Field(
        None, description="Mean over all classes, one without a picture as 0, 0–1; of the test split alone."
    )
    f1_macro: float | None = Field(None, description="Mean over the classes, 0–1; of the test split alone.")


class Evaluations(Recorded):
    """Per split: counts, accuracy and its 95 % Wilson interval."""

    validation: Evaluation | None = Field(None, description="Every decision was made on it.")
    test: Evaluation | None = Field(None, description="For the report, not for choosing.")


class AnswerRecord(Recorded):
    """Which pictures of a split are answered rightly."""

    pictures: str = Field(description="Digest of the split's pixels, in order.")
    num_examples: int
    right: str = Field(description="Base64 of zlib of one bit a picture, the first one lowest: whether it is right.")

    @model_validator(mode="after")
    def _check_right(self) -> Self:
        """Unpacks it once: who reads a record is told at once that it is damaged, and not where it is first used."""
        self.unpack()
        return self

    def unpack(self) -> Correctness:
        """Reads which pictures are answered rightly."""
        return unpack_correctness(self.pictures, self.num_examples, self.right)


class AnswerRecords(Recorded):
    """Per split: which pictures are answered rightly."""

    validation: AnswerRecord | None = None
    test: AnswerRecord | None = None

    def unpack(self, split: str) -> Correctness | None:
        """Reads which pictures of a split are answered rightly; None where it was not kept."""
        record: AnswerRecord | None = getattr(self, split)
        return None if record is None else record.unpack()


class ModelHealth(Recorded):
    """Whether the network answers at all, looked at on validation. With a problem it is on no front."""

    problems: tuple[HealthProblem, ...] = Field(
        description="`one_class`: one class takes nearly all answers. `chance`: it is not distinguishably more often "
        "right than who always answers the most frequent class. `dead_layer`: nothing passes a layer. `not_finite`: it "
        "answers numbers that are none."
    )
    most_answered_class: int = Field(description="Index of the class that is answered most.")
    most_answered_share: float = Field(description="Its share of the answers, 0–1.")
    largest_class_share: float = Field(description="Share of the pictures that are of the most frequent class, 0–1.")
    accuracy: float
    dead_layers: tuple[str, ...]
    num_not_finite: int = Field(description="Pictures to which it answers numbers that are not finite.")


class AccuracyDrop(Recorded):
    """Percentage points below the model that a job started from; negative where it is better."""

    validation: float | None = None
    test: float | None = None
    test_from_origin: float | None = Field(None, description="Below the first model of the lineage, on test.")
    baseline_model_id: str | None = Field(None, description="The model that the job started from.")
    baseline_problems: tuple[HealthProblem, ...] | None = Field(
        None, description="What is wrong with that one: with anything, the drop says nothing good."
    )


class DropInterval(Recorded):
    """How sure a drop is: its 95 % interval, and what that rests on."""

    low: float = Field(description="Percentage points.")
    high: float = Field(description="Percentage points.")
    basis: Basis = Field(
        description="`paired`: both were asked about the same pictures, and which each answers rightly is known. "
        "`not_recorded`: it is not known of one, and the counts are taken as independent: the interval is rather too "
        "wide. `other_pictures`: the pictures are not the same."
    )
    only_baseline_right: int | None = Field(description="Pictures that the baseline alone answers rightly.")
    only_model_right: int | None = Field(description="Pictures that this model alone answers rightly.")
    p_value: float | None = Field(description="McNemar's, exact and two-sided; null where nothing is paired.")


class DropIntervals(Recorded):
    """Per split: how sure the drop is."""

    validation: DropInterval | None = None
    test: DropInterval | None = None


class Origin(Recorded):
    """The first model of a lineage, which ratios are against."""

    model_id: str
    test_accuracy: float


class LayerSparsity(Recorded):
    """Zeros of one layer."""

    name: str
    zeros: int
    total: int
    sparsity: float


class Sparsity(Recorded):
    """Zeros per layer and in total: counted, then divided."""

    total: float = Field(description="Fraction of zero weights, 0–1.")
    layers: tuple[LayerSparsity, ...] = ()


class SizeEntry(Recorded):
    """One line of the size ledger."""

    measure: str = Field(description="`formula`, `float32`, `packed`, `entropy`, `file` …")
    bytes: int
    kb: float = Field(description="1 KB is 1024 bytes.")
    ratio: float | None = Field(description="float32 bytes ÷ these bytes; null where these are none.")


class SizeLedger(Recorded):
    """The size ledger; 1 KB is 1024 bytes."""

    reference_bytes: int | None = Field(
        None, description="The plain float32 checkpoint of the lineage's first model, which ratios are against."
    )
    entries: tuple[SizeEntry, ...] = ()


class ModelLayer(Recorded):
    """What one layer is, costs and allows."""

    name: str
    type: str = Field(description="`conv2d` or `linear`.")
    shape: tuple[int, ...] = Field(description="Of its weights: outputs first.")
    parameters: int = Field(description="Weights, without the bias.")
    macs: int = Field(description="Multiply-accumulates for one picture, zeros counted like any other weight.")
    bit_width: int | None = Field(None, description="Of its weights; 32 where they are floats.")
    prunable: bool | None = None
    quantizable: bool | None = None
    reason: str | None = Field(None, description="Why it cannot be pruned or quantized, or only in part.")


class LatencyLoad(Recorded):
    """What else the machine did meanwhile, in cores kept busy on average."""

    own_cores: float
    other_cores: float | None = Field(description="Null where the system does not tell.")
    num_cores: int
    average_1m: float | None = Field(description="The system's own load of the last minute.")
    is_busy: bool = Field(description="Others computed enough to be felt.")


class Latency(Recorded):
    """Milliseconds for a batch in float32, with what measured them. Only times of one `run_id` can be compared."""

    median_ms: float
    median_interval_ms: tuple[float, float] | None = Field(None, description="95 % interval, by order statistics.")
    p95_ms: float | None = Field(None, description="95th percentile of the passes.")
    passes: int | None = None
    batch_size: int | None = None
    threads: int | None = None
    device: str | None = None
    processor: str | None = None
    measured_at: str | None = Field(None, description="RFC 3339.")
    run_id: str | None = Field(None, description="Networks of one run were timed in turns, pass by pass.")
    load: LatencyLoad | None = Field(None, description="`is_busy`: others computed meanwhile.")


class ModelSummary(Recorded):
    """Everything that is stored of a model beside its files."""

    architecture: str | None = None
    widths: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    network: dict[str, Any] | None = Field(
        None, description="The record of a network that no architecture of ours describes."
    )
    dataset: str | None = None
    not_measured: NotMeasuredReason | None = Field(
        None, description="Why how often it is right is not known; null for a model that was measured."
    )
    split_seed: int | None = Field(None, description="Drew its validation split.")
    class_names: tuple[str, ...] | None = None
    input_shape: tuple[int, ...] | None = Field(None, description="Channels, height, width.")
    resize: ResizePolicy | None = Field(
        None,
        description="How its file says that pictures of another size become its input. Where null, as its data set's "
        "do: those of a built-in one are stretched; and without a data set, the centre of the shorter side's square.",
    )
    evaluation: Evaluations | None = None
    correctness: AnswerRecords | None = None
    health: ModelHealth | None = None
    accuracy_drop: AccuracyDrop | None = Field(None, description="Null for a model that has no baseline.")
    accuracy_drop_interval: DropIntervals | None = None
    origin: Origin | None = Field(None, description="Null for the first model of a lineage.")
    sparsity: Sparsity | None = None
    size: SizeLedger | None = None
    layers: tuple[ModelLayer, ...] | None = None
    macs: int | None = Field(None, description="Multiply-accumulates for one picture.")
    bit_width: int | None = Field(None, description="The widest of its weights; null for a float model.")
    activation_bit_widths: tuple[int, ...] | None = Field(None, description="Of each layer's input.")
    parameters: int | None = None
    latency: Latency | None = Field(None, description="Null for integers, which are exact here but not fast.")
    baseline_latency: Latency | None = Field(None, description="Of its baseline, in the same run.")


def read_summary(stored: Mapping[str, Any]) -> ModelSummary:
    """Reads the summary that any version stored. What cannot be read is left out, as if it had not been measured."""
    kept: Any = stored
    while True:
        try:
            return ModelSummary.read(kept)
        except ValidationError as error:
            kept = _leave_out(kept, error.errors()[0]["loc"]) or {}


def _leave_out(value: Any, place: Sequence[int | str]) -> Any:
    """A copy without what lies at `place`; without what should hold it, where nothing lies there.

    Of a list it is a row that can be left out; of plain values none, as the others would stand for something else.
    """
    if not place:
        return None
    name, *rest = place
    if isinstance(value, Mapping) and name in value:
        kept = _leave_out(value[name], rest)
        others = {key: item for key, item in value.items() if key != name}
        return others if kept is None else {**others, name: kept}
    if isinstance(value, list | tuple) and isinstance(name, int) and name < len(value):
        if not isinstance(value[name], Mapping):
            return None
        kept = _leave_out(value[name], rest)
        return [*value[:name], *([] if kept is None else [kept]), *value[name + 1 :]]
    return None
