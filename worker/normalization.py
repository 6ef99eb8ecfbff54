"""How a pixel enters a network: (p / 255 - mean) / std, with a mean and a deviation for each channel or for all."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, FailFast, PlainSerializer


def _take_one(said: Any) -> Any:
    """A bare number is that of all channels: so files of earlier versions have it."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return (said,)
    return tuple(said) if isinstance(said, list) else said  # JSON has no tuples


def _give_one(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


PerChannel = Annotated[
    tuple[float, ...], FailFast(), BeforeValidator(_take_one, float | list[float]), PlainSerializer(_give_one)
]
"""One number for each channel, or a single one for all of them: in JSON a bare number, as earlier versions have it."""


def merge_channels(values: tuple[float, ...]) -> tuple[float, ...]:
    """A single number where all channels have the same."""
    return values[:1] if len(set(values)) == 1 else values
