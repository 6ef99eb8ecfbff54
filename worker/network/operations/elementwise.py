"""Operations that change, join or reorder values without weights."""

from __future__ import annotations

import math

from worker.network.operations.base import MAX_INPUTS, Fraction, InvalidNetwork, Operation, Shape, read_picture


class Relu(Operation):
    """max(x, 0)."""

    keeps_inputs, keeps_output = False, True


class Relu6(Operation):
    """min(max(x, 0), 6)."""


class LeakyRelu(Operation):
    """x where it is positive, else `negative_slope` x."""

    negative_slope: Fraction = 0.01


class HardSwish(Operation):
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""


class HardSigmoid(Operation):
    """relu6(x + 3) / 6."""


class Sigmoid(Operation):
    """1 / (1 + exp(-x))."""

    keeps_inputs, keeps_output = False, True


class Silu(Operation):
    """x sigmoid(x)."""


class Gelu(Operation):
    """x times the normal distribution function of x."""


class Add(Operation):
    """The sum of two of the same shape."""

    num_inputs = (2, 2)
    keeps_inputs = False

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if inputs[0] != inputs[1]:
            raise InvalidNetwork(f"it adds {inputs[0]} and {inputs[1]}, which differ")
        return inputs[0]


class Multiply(Operation):
    """The product of two of the same shape, or of a picture and one number for each of its channels (C, 1, 1)."""

    num_inputs = (2, 2)

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        first, second = sorted(inputs, key=math.prod, reverse=True)
        if second not in (first, (first[0], 1, 1)) or len(first) != len(second):
            raise InvalidNetwork(f"it multiplies {inputs[0]} and {inputs[1]}, which do not fit")
        return first


class Concatenate(Operation):
    """The channels of all, one after the other."""

    num_inputs = (1, MAX_INPUTS)
    keeps_inputs = False

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        pictures = [read_picture(shape) for shape in inputs]
        if len({picture[1:] for picture in pictures}) > 1:
            raise InvalidNetwork("it joins pictures of different height or width")
        return sum(picture[0] for picture in pictures), *pictures[0][1:]


class Flatten(Operation):
    """All values in one row, channel by channel."""

    keeps_inputs = False
    is_view = True

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return (math.prod(inputs[0]),)
