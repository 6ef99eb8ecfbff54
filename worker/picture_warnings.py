"""When a prediction says little about the picture that was sent."""

from __future__ import annotations

from dataclasses import dataclass

from worker.catalog import PredictionWarning

MOST_ENLARGED = 4.0
"""Times that a side may grow: digits of 8 x 8 pixels, which one of the data sets is made of, grow 3.5 times."""
MOST_REDUCED = 16.0
MOST_STRETCHED = 1.25
LEAST_CONTRAST = 32
"""Between the darkest and the brightest pixel, of 255."""
BRIGHT = 127.5


@dataclass(frozen=True)
class Notice:
    """One thing to know before believing a prediction."""

    code: PredictionWarning
    detail: str


@dataclass(frozen=True)
class Look:
    """How a picture was before and after it was prepared. Sizes are (width, height); brightness is 0 to 255."""

    original: tuple[int, int]
    size: tuple[int, int]
    num_frames: int
    darkest: int
    brightest: int
    border: float
    """Mean brightness of the pixels at the edge."""
    inverted: bool
    is_stretched: bool = True
    """Whatever its proportions; else it was cropped or padded."""
    is_light_on_dark: bool = True
    """The training pictures are."""


def judge_picture(look: Look) -> tuple[Notice, ...]:
    """What is to be known of a picture, the gravest first."""
    before, after = (f"{width} x {height}" for width, height in (look.original, look.size))
    grown = max(after / before for before, after in zip(look.original, look.size, strict=True))
    shrunk = max(before / after for before, after in zip(look.original, look.size, strict=True))
    ratio = look.original[0] * look.size[1] / (look.original[1] * look.size[0])
    advice = "leave out `invert`" if look.inverted else "try `invert`"
    found = {
        PredictionWarning.NEARLY_BLANK: (
            look.brightest - look.darkest < LEAST_CONTRAST,
            f"the picture is nearly blank, from {look.darkest} to {look.brightest} of 255: no class named means much",
        ),
        PredictionWarning.ENLARGED: (
            grown > MOST_ENLARGED,
            f"the picture is far too small, enlarged from {before} to {after} pixels: no class named means much",
        ),
        PredictionWarning.REDUCED: (
            shrunk > MOST_REDUCED,
            f"the picture is much larger than the network's input: of {before} pixels {after} were made",
        ),
        PredictionWarning.OTHER_PROPORTIONS: (
            look.is_stretched and max(ratio, 1 / ratio) > MOST_STRETCHED,
            f"the picture's proportions are others than the network's: {before} pixels were stretched to {after}",
        ),
        PredictionWarning.FIRST_FRAME: (
            look.num_frames > 1,
            f"the file holds {look.num_frames} frames: only the first was looked at",
        ),
        PredictionWarning.BRIGHT_BORDER: (
            look.is_light_on_dark and look.border > BRIGHT,
            f"the picture's border is bright, and the training pictures are light on dark: {advice}",
        ),
    }
    return tuple(Notice(code, detail) for code, (is_so, detail) in found.items() if is_so)
