"""Models beside one another: pure functions on their summaries (`Model.summary`), any part of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What a model costs to store, best known first: the bytes on disk, else what they would be.
_STORED_MEASURES = ("file", "packed", "float32")


@dataclass(frozen=True)
class Point:
    """A model as a place on the size–accuracy plane."""

    num_bytes: int
    accuracy: float


def get_accuracy(summary: Mapping[str, Any], split: str) -> float | None:
    """Fraction of the split's examples classified rightly, 0–1; None where it was not measured."""
    evaluation = (summary.get("evaluation") or {}).get(split) or {}
    accuracy = evaluation.get("accuracy")
    return None if accuracy is None else float(accuracy)


def get_ledger(summary: Mapping[str, Any]) -> dict[str, int]:
    """Measure → bytes."""
    return {entry["measure"]: entry["bytes"] for entry in (summary.get("size") or {}).get("entries") or []}


def get_stored_size(summary: Mapping[str, Any]) -> tuple[str, int] | None:
    """The measure that says best what the model takes to store, and its bytes."""
    ledger = get_ledger(summary)
    return next(((measure, ledger[measure]) for measure in _STORED_MEASURES if measure in ledger), None)


def get_layer_sparsity(summary: Mapping[str, Any]) -> dict[str, float]:
    """Layer → fraction of zero weights, in the network's order."""
    return {layer["name"]: layer["sparsity"] for layer in (summary.get("sparsity") or {}).get("layers") or []}


def compute_drop(accuracy: float | None, reference: float | None) -> float | None:
    """Percentage points lost against the reference; negative where it is better."""
    return None if accuracy is None or reference is None else round((reference - accuracy) * 100, 6)


def align_layers(columns: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Layer → its value in each column, None where a network has no such layer. Order of first appearance."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def compute_front(points: Sequence[Point]) -> list[bool]:
    """For each point whether no other is at least as small and as accurate, and better in one of both."""
    on_front = [False] * len(points)
    best_smaller = best_of_size = float("-inf")
    num_bytes = -1
    for index in sorted(range(len(points)), key=lambda index: (points[index].num_bytes, -points[index].accuracy)):
        point = points[index]
        if point.num_bytes > num_bytes:
            # The first of its size is the most accurate of its size.
            best_smaller, best_of_size, num_bytes = max(best_smaller, best_of_size), point.accuracy, point.num_bytes
        on_front[index] = point.accuracy == best_of_size > best_smaller
    return on_front


def describe_difference(name: str, summary: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """One sentence about a model against the first of a comparison, from the numbers that both have."""
    parts = []
    size, reference_size = get_stored_size(summary), get_stored_size(reference)
    if size and reference_size and size[1] > 0 and reference_size[1] > 0:
        parts.append(_describe_size(size, reference_size))
    drop = compute_drop(get_accuracy(summary, "test"), get_accuracy(reference, "test"))
    if drop is not None:
        parts.append(_describe_drop(drop))
    latency, reference_latency = (_get_comparable_latency(one, summary, reference) for one in (summary, reference))
    if latency and reference_latency:
        parts.append(_describe_speed(latency, reference_latency))
    return f"{name}: {', '.join(parts)}." if parts else f"{name}: nothing was measured that both models have."


def _describe_size(size: tuple[str, int], reference: tuple[str, int]) -> str:
    ratio = reference[1] / size[1]
    word = "as large" if ratio == 1 else f"{ratio:.1f}x smaller" if ratio > 1 else f"{1 / ratio:.1f}x larger"
    return f"{word} ({size[1] / 1024:.1f} KB {size[0]} against {reference[1] / 1024:.1f} KB {reference[0]})"


def _describe_drop(drop: float) -> str:
    if drop == 0:
        return "the same test accuracy"
    return f"{abs(drop):.2f} points of test accuracy {'lost' if drop > 0 else 'gained'}"


def _get_comparable_latency(one: Mapping[str, Any], *both: Mapping[str, Any]) -> float | None:
    """Median milliseconds, if all were measured on the same device with the same batch and threads."""
    measured = [summary.get("latency") or {} for summary in both]
    setups = {tuple(str(latency.get(key)) for key in ("device", "batch_size", "threads")) for latency in measured}
    median = (one.get("latency") or {}).get("median_ms")
    return float(median) if median and len(setups) == 1 else None


def _describe_speed(latency: float, reference: float) -> str:
    ratio = reference / latency
    word = f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"
    return f"{word} ({latency:.2f} ms against {reference:.2f} ms)"
