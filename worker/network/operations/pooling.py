"""Operations that make one value of many in height and width."""

from __future__ import annotations

from worker.network.operations.base import (
    Flag,
    InvalidNetwork,
    Operation,
    Padding,
    Shape,
    Size,
    check_sides,
    read_picture,
)


class Pool(Operation):
    """A window moved over the picture. ceil_mode: a last window may reach beyond the padded picture."""

    kernel: tuple[Size, Size]
    stride: tuple[Size, Size]
    padding: tuple[Padding, Padding] = (0, 0)
    ceil_mode: Flag = False

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        channels, *sides = read_picture(inputs[0])
        if any(2 * pad > kernel for pad, kernel in zip(self.padding, self.kernel, strict=True)):
            raise InvalidNetwork("its padding is more than half its window")
        windows = zip(sides, self.kernel, self.stride, self.padding, strict=True)
        return check_sides((channels, *(self._count_windows(*window) for window in windows)))

    def _count_windows(self, side: int, kernel: int, stride: int, padding: int) -> int:
        span = side + 2 * padding - kernel
        if not self.ceil_mode:
            return span // stride + 1
        count = -(-span // stride) + 1
        return count - 1 if (count - 1) * stride >= side + padding else count  # a window must begin in the picture


class MaxPool(Pool):
    """The largest value of each window."""

    index_words = 2


def build_square_max_pool(side: int) -> MaxPool:
    """Windows of that height and width, side by side."""
    return MaxPool(kernel=(side, side), stride=(side, side))


class AveragePool(Pool):
    """The mean of each window. count_include_pad: the zeros of the padding are averaged, too."""

    count_include_pad: Flag = True


class AdaptiveAveragePool(Operation):
    """The means over as many windows as `output` says, height and width."""

    output: tuple[Size, Size]

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        channels, _, _ = read_picture(inputs[0])
        return channels, *self.output


class Mean(Operation):
    """The mean over height and width: one value for each channel."""

    keeps_inputs = False

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return read_picture(inputs[0])[:1]
