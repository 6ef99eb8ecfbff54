"""What every operation tells: the shape of its output, its tensors and its multiply-accumulates."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Shape = tuple[int, ...]
"""Of one picture, without the batch: (channels, height, width), or (features,) once it is flat."""
MAX_SIZE = 1 << 16
MAX_INPUTS = 64
Size = Annotated[int, Field(strict=True, ge=1, le=MAX_SIZE)]
Padding = Annotated[int, Field(strict=True, ge=0, le=MAX_SIZE)]
Flag = Annotated[bool, Field(strict=True)]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
PositiveFraction = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1)]


class InvalidNetwork(ValueError):
    """A record that describes no network."""


class Operation(BaseModel):
    """One operation with its attributes. inputs: the shapes of what it reads, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    num_inputs: ClassVar[tuple[int, int]] = (1, 1)
    """The fewest and the most."""
    buffers: ClassVar[frozenset[str]] = frozenset()
    """Its tensors that no gradient changes."""
    keeps_inputs: ClassVar[bool] = True
    """Whether its gradient is computed from what it has read."""
    keeps_output: ClassVar[bool] = False
    """Whether its gradient is computed from its output."""
    index_words: ClassVar[int] = 0
    """Words of four bytes that it keeps besides, for each value of its output."""
    is_view: ClassVar[bool] = False
    """Whether its output is the memory of its input."""

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The shape of its output: its first input's, unless an operation says otherwise. Raises InvalidNetwork."""
        return inputs[0]

    def list_tensors(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        """Name → shape of each tensor, as the state dict of its module has them, without counters of batches."""
        del inputs
        return {}

    def count_macs(self, inputs: tuple[Shape, ...]) -> int:
        """Multiply-accumulates for one picture. Those of convolutions and linear layers alone are counted."""
        del inputs
        return 0


def read_picture(shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width. Raises InvalidNetwork where the shape is flat."""
    if len(shape) != 3:
        raise InvalidNetwork(f"it reads channels, height and width, and is given {len(shape)} dimension")
    return shape[0], shape[1], shape[2]


def check_sides(shape: Shape) -> Shape:
    """The shape. Raises InvalidNetwork where the picture was too small for the window."""
    if min(shape) < 1:
        raise InvalidNetwork("the picture is too small for it")
    return shape
