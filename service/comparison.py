"""Models beside one another: pure functions on their summaries, any part of which may be missing.

What cannot be compared is left out, and `find_gaps` says why: networks of other data sets, accuracies on other
pictures, times taken at different moments.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.catalog import HealthProblem
from worker.model_summary import AnswerRecord, Evaluation, ModelSummary
from worker.paired import Basis, Difference, Score, compute_difference, compute_drop

# What a model costs to store, best known first: the bytes on disk, else what they would be.
_STORED_MEASURES = ("file", "packed", "float32")


class Gap(StrEnum):
    """Why two models are not compared in something."""

    OTHER_DATASET = "other_dataset"
    OTHER_PICTURES = "other_pictures"
    """Of one data set, but the split was drawn by another seed, or holds other pictures."""
    MEASURED_APART = "measured_apart"
    """Times of different moments, machines or settings: not taken in turns in one run."""
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True)
class Compared:
    """A model as comparisons see it. dataset: None for one that was measured on nothing."""

    id: str
    name: str
    dataset: str | None
    summary: ModelSummary


def get_accuracy(summary: ModelSummary, split: str) -> float | None:
    """Fraction of the split's examples classified rightly, 0–1; None where it was not measured."""
    evaluation = _get_evaluation(summary, split)
    return None if evaluation is None else evaluation.accuracy


def _get_evaluation(summary: ModelSummary, split: str) -> Evaluation | None:
    evaluation: Evaluation | None = getattr(summary.evaluation, split, None)
    return evaluation


def get_ledger(summary: ModelSummary) -> dict[str, int]:
    """Measure → bytes."""
    return {} if summary.size is None else {entry.measure: entry.bytes for entry in summary.size.entries}


def get_stored_size(summary: ModelSummary) -> tuple[str, int] | None:
    """The measure that says best what the model takes to store, and its bytes."""
    ledger = get_ledger(summary)
    return next(((measure, ledger[measure]) for measure in _STORED_MEASURES if measure in ledger), None)


def get_layer_sparsity(summary: ModelSummary) -> dict[str, float]:
    """Layer → fraction of zero weights, in the network's order."""
    return {} if summary.sparsity is None else {layer.name: layer.sparsity for layer in summary.sparsity.layers}


def get_problems(summary: ModelSummary) -> list[HealthProblem]:
    """What is wrong with it; empty for a sound model, and for one stored before its health was looked at."""
    return [] if summary.health is None else list(summary.health.problems)


def get_pictures(summary: ModelSummary, split: str) -> str | None:
    """The digest of the pictures that a split was measured on; None where it was not kept."""
    record: AnswerRecord | None = getattr(summary.correctness, split, None)
    return None if record is None else record.pictures


def find_drop(one: Compared, reference: Compared, split: str) -> float | None:
    """Percentage points lost against the reference; negative where it is better, None where they are not compared."""
    if find_drop_gap(one, reference, split) is not None:
        return None
    before, after = (_get_evaluation(model.summary, split) for model in (reference, one))
    return None if before is None or after is None else compute_drop(before, after)


def shares_pictures(one: Compared, other: Compared, split: str) -> bool:
    """Whether both were measured on the same pictures of that split.

    By their digests where both have one; else by the data set and, for validation, the seed that drew it.
    """
    first, second = get_pictures(one.summary, split), get_pictures(other.summary, split)
    if one.dataset is None or one.dataset != other.dataset:
        return False
    if first is not None and second is not None:
        return first == second
    return split == "test" or one.summary.split_seed == other.summary.split_seed


def _find_dataset_gap(one: Compared, reference: Compared) -> Gap | None:
    """Why nothing at all of two models is held against one another. What was measured on nothing may be of anything."""
    if one.dataset is None or reference.dataset is None:
        return Gap.NOT_MEASURED
    return None if one.dataset == reference.dataset else Gap.OTHER_DATASET


def find_drop_gap(one: Compared, reference: Compared, split: str) -> Gap | None:
    """Why no drop on that split is given; None where it is."""
    if (gap := _find_dataset_gap(one, reference)) is not None:
        return gap
    if not shares_pictures(one, reference, split):
        return Gap.OTHER_PICTURES
    measured = (get_accuracy(one.summary, split), get_accuracy(reference.summary, split))
    return Gap.NOT_MEASURED if None in measured else None


def find_size_gap(one: Compared, reference: Compared) -> Gap | None:
    """Why no ratio of sizes is given. A network for other pictures is no smaller form of this one."""
    if (gap := _find_dataset_gap(one, reference)) is not None:
        return gap
    sizes = [get_stored_size(model.summary) for model in (one, reference)]
    return None if all(size is not None and size[1] > 0 for size in sizes) else Gap.NOT_MEASURED


def find_speed_gap(one: Compared, reference: Compared) -> Gap | None:
    """Why no factor of times is given."""
    if (gap := _find_dataset_gap(one, reference)) is not None:
        return gap
    if one.summary.latency is None or reference.summary.latency is None:
        return Gap.NOT_MEASURED
    return Gap.MEASURED_APART if find_times(one, reference) is None else None


def find_times(one: Compared, reference: Compared) -> tuple[float, float] | None:
    """Median milliseconds of both where one was made from the other and they were timed in turns, in one run.

    Beside itself a model is as fast as itself.
    """
    if one.id == reference.id:
        time = one.summary.latency.median_ms if one.summary.latency is not None else None
        return (time, time) if time else None
    own, other = _find_turns(one, reference.id), _find_turns(reference, one.id)
    return own if own is not None else None if other is None else (other[1], other[0])


def _find_turns(model: Compared, baseline_id: str) -> tuple[float, float] | None:
    """A model's time and that of the baseline it was timed in turns with, if that is this one."""
    summary = model.summary
    latency, other, drop = summary.latency, summary.baseline_latency, summary.accuracy_drop
    if latency is None or other is None or drop is None or drop.baseline_model_id != baseline_id:
        return None
    is_one_run = latency.run_id == other.run_id
    return (latency.median_ms, other.median_ms) if is_one_run and latency.median_ms and other.median_ms else None


def compute_drop_difference(one: Compared, reference: Compared, split: str) -> Difference | None:
    """accuracy(reference) - accuracy(one), tested; None where it is not given or no interval was recorded."""
    if find_drop_gap(one, reference, split) is not None:
        return None
    scores = [_read_score(model.summary, split) for model in (reference, one)]
    if scores[0] is None or scores[1] is None:
        return None
    return compute_difference(scores[0], scores[1])


def _read_score(summary: ModelSummary, split: str) -> Score | None:
    measured = _get_evaluation(summary, split)
    if measured is None or measured.interval is None:
        return None
    kept = None if summary.correctness is None else summary.correctness.unpack(split)
    return Score(measured.num_correct, measured.num_examples, measured.interval, kept)


def find_gaps(one: Compared, reference: Compared) -> dict[str, Gap]:
    """Field of the comparison that is left out → why."""
    gaps = {
        "accuracy_drop.validation": find_drop_gap(one, reference, "validation"),
        "accuracy_drop.test": find_drop_gap(one, reference, "test"),
        "size_ratio": find_size_gap(one, reference),
        "speedup": find_speed_gap(one, reference),
    }
    return {field: gap for field, gap in gaps.items() if gap is not None}


def align_layers(columns: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Layer → its value in each column, None where a network has no such layer. Order of first appearance."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def group_by_pictures(models: Sequence[Compared], split: str) -> list[str]:
    """For each model the name of the pictures that it was measured on: only models of one name have a common front.

    The data set; for validation with the seed that drew it; with a digest where one name has several sets of pictures.
    """
    names = [_name_pictures(model, split) for model in models]
    digests: dict[Hashable, dict[str, None]] = {}
    for name, model in zip(names, models, strict=True):
        pictures = get_pictures(model.summary, split)
        if pictures is not None:
            digests.setdefault(name, {})[pictures] = None
    groups = []
    for name, model in zip(names, models, strict=True):
        known = list(digests.get(name, {}))
        # A model stored before pictures were recorded was measured on those that its data set had first.
        pictures = get_pictures(model.summary, split) or (known[-1] if known else None)
        groups.append(f"{name}, pictures {pictures}" if len(known) > 1 else name)
    return groups


def _name_pictures(model: Compared, split: str) -> str:
    seed = model.summary.split_seed
    name = model.dataset or "no data set"
    return name if split == "test" or seed is None else f"{name}, seed {seed}"


def describe_difference(one: Compared, reference: Compared) -> str:
    """One sentence about a model against the first of a comparison, from the numbers that may be compared."""
    match _find_dataset_gap(one, reference):
        case Gap.NOT_MEASURED:
            names = [model.name for model in (one, reference) if model.dataset is None]
            was, it = ("was", "it") if len(names) == 1 else ("were", "them")
            unmeasured = f"{' and '.join(names)} {was} measured on no data set"
            return f"{one.name}: not compared, as {unmeasured}: fine-tune {it} on one first."
        case Gap.OTHER_DATASET:
            return f"{one.name}: not compared, as it is for {one.dataset} and the first model for {reference.dataset}."
    parts = []
    size, reference_size = get_stored_size(one.summary), get_stored_size(reference.summary)
    if size and reference_size and size[1] > 0 and reference_size[1] > 0:
        parts.append(_describe_size(size, reference_size))
    drop = find_drop(one, reference, "test")
    if drop is not None:
        parts.append(_describe_drop(drop, compute_drop_difference(one, reference, "test")))
    times = find_times(one, reference)
    if times is not None:
        parts.append(_describe_speed(*times))
    said = ", ".join(parts) if parts else "nothing was measured that both models have"
    problems = [_describe_problems(model) for model in (one, reference) if get_problems(model.summary)]
    return f"{one.name}: {said}.{''.join(problems)}"


def _describe_problems(model: Compared) -> str:
    return f" {model.name} is not sound ({', '.join(get_problems(model.summary))}): its numbers say nothing good of it."


def _describe_size(size: tuple[str, int], reference: tuple[str, int]) -> str:
    ratio = reference[1] / size[1]
    word = "as large" if ratio == 1 else f"{ratio:.1f}x smaller" if ratio > 1 else f"{1 / ratio:.1f}x larger"
    return f"{word} ({size[1] / 1024:.1f} KB {size[0]} against {reference[1] / 1024:.1f} KB {reference[0]})"


def _describe_drop(drop: float, difference: Difference | None) -> str:
    said = "the same test accuracy"
    if drop != 0:
        said = f"{abs(drop):.2f} points of test accuracy {'lost' if drop > 0 else 'gained'}"
    if difference is None:
        return said
    bounds = f"95 % interval of the drop {100 * difference.low:.2f} to {100 * difference.high:.2f}"
    basis = "paired" if difference.basis is Basis.PAIRED else "not paired: answers were not kept picture by picture"
    verdict = "distinguishable" if difference.is_distinguishable else "not distinguishable"
    return f"{said} ({bounds}, {basis}; {verdict})"


def _describe_speed(latency: float, reference: float) -> str:
    ratio = reference / latency
    word = f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"
    return f"{word} ({latency:.2f} ms against {reference:.2f} ms, timed in turns)"
