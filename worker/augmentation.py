"""How pictures are changed at random while a network trains on them. Torch-free: a spec is held against it."""

from __future__ import annotations

from dataclasses import dataclass

PHOTOGRAPH_CHANNELS = 3
"""Pictures in colour count as photographs, gray ones as drawings or digits, which fill their frame by design."""
CROP_DIVISOR = 8
"""A photograph is cropped at random from itself with an eighth of its shorter side added all around: 4 pixels of 32,
as He et al. 2016, section 4.2, arXiv:1512.03385, train on CIFAR-10."""


@dataclass(frozen=True)
class Augmentation:
    """flip: mirrored left to right, half of the time. max_shift: pixels that a picture is moved by at most, each way;
    what comes in at the edge is black. So is a random crop from the picture with a border of so many pixels.
    """

    flip: bool
    max_shift: int


def choose_augmentation(
    input_shape: tuple[int, int, int], *, is_mirrorable: bool, flip: bool | None = None, max_shift: int | None = None
) -> Augmentation:
    """What suits a data set; flip, max_shift: what was asked for instead. Nothing mirrors what is not mirrorable."""
    channels, height, width = input_shape
    suited = min(height, width) // CROP_DIVISOR if channels == PHOTOGRAPH_CHANNELS else 0
    return Augmentation(is_mirrorable and flip is not False, suited if max_shift is None else max_shift)
