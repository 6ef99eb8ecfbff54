"""Tables with a row for each layer: of many layers the largest have one each, and the others one together."""

from __future__ import annotations

from collections.abc import Sequence

from worker.report.analysis.results import LayerZeros
from worker.report.language.values import Value, code, count
from worker.report.sections.builder import Builder

MOST_ROWS = 24
"""More do not fit on a page beside its text."""


def split_rows(sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Positions of what has a row of its own, and of what shares one; both in their order. sizes: the largest stay."""
    if len(sizes) <= MOST_ROWS:
        return list(range(len(sizes))), []
    largest = set(sorted(range(len(sizes)), key=lambda place: -sizes[place])[: MOST_ROWS - 1])
    return sorted(largest), [place for place in range(len(sizes)) if place not in largest]


def name_others(desk: Builder, number: int) -> str:
    """The head of the row that so many share."""
    return desk.say("row.other_layers", layers=count(number))


def list_layer_rows(desk: Builder, layers: Sequence[LayerZeros]) -> list[tuple[Value | str, LayerZeros]]:
    """The head of each row, and what it counts: a layer, or the sum of those that have no row."""
    shown, others = split_rows([layer.total for layer in layers])
    rows: list[tuple[Value | str, LayerZeros]] = [(code(layers[place].name), layers[place]) for place in shown]
    if others:
        head = name_others(desk, len(others))
        zeros, total = (
            sum(counts) for counts in zip(*((layers[p].zeros, layers[p].total) for p in others), strict=True)
        )
        rows.append((head, LayerZeros(head, zeros, total)))
    return rows
