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


def take_whole_pixels(means: tuple[float, ...]) -> tuple[float, ...]:
    """The whole pixel values that lie nearest to the means, as those of the built-in data sets are.

    A quantized layer takes such a value off a pixel. Of a mean between two it would compute on other numbers than it
    was trained on, all of them off by the same; of one in the middle, as 0.5, each pixel would be rounded to even.
    """
    return tuple(mean if _is_whole(255 * mean) else round(round(255 * mean) / 255, 5) for mean in means)


def _is_whole(level: float) -> bool:
    return abs(level - round(level)) < 0.01
