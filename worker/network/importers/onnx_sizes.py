"""ONNX's operations on integers: how exporters compute the shape or the padding that an operation is given."""

from __future__ import annotations

import math
from collections.abc import Callable

from worker.network.importers.onnx_arguments import Arguments, check_integers
from worker.network.importers.onnx_messages import MAX_LIST, Tensor, TensorType
from worker.network.importers.onnx_values import Axis, Sizes
from worker.network.operations.base import InvalidNetwork

_MAX_NUMBER = 1 << 63
INTEGER_TYPES = frozenset({TensorType.INT64, TensorType.INT32})


def make_sizes(numbers: tuple[Axis, ...], dims: tuple[int, ...]) -> Sizes:
    """Integers of that shape. Raises InvalidNetwork where they are too many or too large."""
    if len(numbers) > MAX_LIST or any(number is not None and abs(number) > _MAX_NUMBER for number in numbers):
        raise InvalidNetwork(f"it makes more than {MAX_LIST} integers, or larger ones than there are")
    return Sizes(numbers, dims)


def _keep(said: Arguments) -> Sizes:
    return said.get_sizes(0)


def _cast(said: Arguments) -> Sizes:
    said.find_attribute("saturate")
    if said.get_integer("to", 0) not in INTEGER_TYPES:
        raise InvalidNetwork("it makes other numbers of integers: arithmetic with constants is not read here")
    return said.get_sizes(0)


def _measure(said: Arguments) -> Sizes:
    dims = said.get_sizes(0).dims
    dims = dims[said.get_integer("start", 0) : said.get_integer("end", len(dims))]
    return make_sizes(dims, (len(dims),))


def _gather(said: Arguments) -> Sizes:
    said.expect("axis", 0)
    sizes, places = said.get_sizes(0), said.get_sizes(1)
    indices = check_integers(places)
    if len(sizes.dims) != 1 or not all(-len(sizes.numbers) <= index < len(sizes.numbers) for index in indices):
        raise InvalidNetwork("it asks for what the list does not have")
    return make_sizes(tuple(sizes.numbers[index] for index in indices), places.dims)


def _unsqueeze(said: Arguments) -> Sizes:
    sizes = said.get_sizes(0)
    if sizes.dims or said.get_integers(1, "axes", None) not in ((0,), (-1,)):
        raise InvalidNetwork("only a number is made a list here")
    return make_sizes(sizes.numbers, (1,))


def _squeeze(said: Arguments) -> Sizes:
    sizes = said.get_sizes(0)
    if sizes.dims != (1,) or said.get_integers(1, "axes", (0,)) not in ((0,), (-1,)):
        raise InvalidNetwork("only a list of one number is made a number here")
    return make_sizes(sizes.numbers, ())


def _concatenate(said: Arguments) -> Sizes:
    said.expect("axis", 0)
    if len(said.node.inputs) > MAX_LIST:
        raise InvalidNetwork(f"it joins more than {MAX_LIST} lists")
    parts = [said.get_sizes(place) for place in range(len(said.node.inputs))]
    if any(len(part.dims) != 1 for part in parts):
        raise InvalidNetwork("it joins what are no lists")
    numbers = tuple(number for part in parts for number in part.numbers)
    return make_sizes(numbers, (len(numbers),))


def _slice(said: Arguments) -> Sizes:
    sizes = said.get_sizes(0)
    starts, ends, axes, steps = read_slices(said)
    if axes != (0,) or steps[0] == 0 or not sizes.dims:
        raise InvalidNetwork("it cuts along another axis than the first")
    width = math.prod(sizes.dims[1:])
    rows = range(sizes.dims[0])[starts[0] : ends[0] : steps[0]]
    numbers = tuple(number for row in rows for number in sizes.numbers[row * width : (row + 1) * width])
    return make_sizes(numbers, (len(rows), *sizes.dims[1:]))


def _transpose(said: Arguments) -> Sizes:
    sizes = said.get_sizes(0)
    if len(sizes.dims) != 2 or said.list_integers("perm", (1, 0)) != (1, 0):
        raise InvalidNetwork("only a table of two dimensions is turned here")
    rows, columns = sizes.dims
    numbers = tuple(sizes.numbers[row * columns + column] for column in range(columns) for row in range(rows))
    return make_sizes(numbers, (columns, rows))


def _reshape(said: Arguments) -> Sizes:
    sizes = said.get_sizes(0)
    said.expect("allowzero", 0)
    dims = check_integers(said.get_sizes(1))
    known = math.prod(side for side in dims if side != -1)
    if dims.count(-1) == 1 and known > 0 and len(sizes.numbers) % known == 0:
        dims = tuple(len(sizes.numbers) // known if side == -1 else side for side in dims)
    if not all(0 < side <= MAX_LIST for side in dims) or math.prod(dims) != len(sizes.numbers):
        raise InvalidNetwork("it makes a table of other than its numbers")
    return make_sizes(sizes.numbers, dims)


def _repeat(said: Arguments) -> Sizes:
    value, dims = said.find_attribute("value"), check_integers(said.get_sizes(0))
    number = said.convert_sizes(value).numbers[0] if isinstance(value, Tensor) and value.num_values == 1 else None
    if number is None or not all(0 <= side <= MAX_LIST for side in dims) or math.prod(dims) > MAX_LIST:
        raise InvalidNetwork("it makes no short list of one integer")
    return make_sizes((number,) * math.prod(dims), dims)


def _compute(said: Arguments, combine: Callable[[int, int], int]) -> Sizes:
    first, second = said.get_sizes(0), said.get_sizes(1)
    pair = (check_integers(first), check_integers(second))
    dims = first.dims if len(first.numbers) >= len(second.numbers) else second.dims
    one, other = (numbers * math.prod(dims) if len(numbers) == 1 else numbers for numbers in pair)
    if len(one) != len(other):
        raise InvalidNetwork("it computes with lists of other lengths")
    return make_sizes(tuple(map(combine, one, other)), dims)


def _divide(one: int, other: int) -> int:
    if other == 0:
        raise InvalidNetwork("it divides by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def read_slices(said: Arguments) -> tuple[tuple[int, ...], ...]:
    """starts, ends, axes and steps of a Slice, as many of each."""
    starts, ends = (said.get_integers(place, name, None) for place, name in ((1, "starts"), (2, "ends")))
    axes = said.get_integers(3, "axes", tuple(range(len(starts))))
    steps = said.get_integers(4, "steps", (1,) * len(starts))
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InvalidNetwork("its starts, ends, axes and steps are not as many")
    return starts, ends, axes, steps


SIZE_TRANSLATORS: dict[str, Callable[[Arguments], Sizes]] = {
    "Add": lambda said: _compute(said, int.__add__),
    "Cast": _cast,
    "Concat": _concatenate,
    "ConstantOfShape": _repeat,
    "Div": lambda said: _compute(said, _divide),
    "Gather": _gather,
    "Identity": _keep,
    "Mul": lambda said: _compute(said, int.__mul__),
    "Reshape": _reshape,
    "Shape": _measure,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": lambda said: _compute(said, int.__sub__),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Operation → what it makes of integers, when all that it reads are some."""
