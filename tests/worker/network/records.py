"""Records that are drawn by lot: any operations in any order, small, valid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from worker.network.operations import OPERATIONS
from worker.network.operations.base import InvalidNetwork, Operation, Shape
from worker.network.operations.elementwise import LeakyRelu, Relu
from worker.network.operations.layers import Convolution, Linear
from worker.network.operations.pooling import AdaptiveAveragePool, AveragePool, MaxPool
from worker.network.record import PICTURE, Network, Node

_MOST_NODES = 24
_TRIALS = 12
"""Choices of inputs that are tried for an operation."""


CHANNELS = range(1, 7)


def _draw_window(random: Random) -> dict[str, tuple[int, int]]:
    def draw_pair(low: int, high: int) -> tuple[int, int]:
        return random.randint(low, high), random.randint(low, high)

    return {"kernel": draw_pair(1, 3), "stride": draw_pair(1, 2), "padding": draw_pair(0, 2)}


ATTRIBUTES: dict[type[Operation], Callable[[Random, Sequence[int]], Operation]] = {
    Convolution: lambda random, channels: Convolution(
        **_draw_window(random),
        out_channels=random.choice(channels),
        dilation=(random.randint(1, 2), 1),
        groups=random.choice([1, 1, 2, 3]),
        bias=random.random() < 0.5,
    ),
    Linear: lambda random, channels: Linear(out_features=random.choice(channels), bias=random.random() < 0.5),
    MaxPool: lambda random, _: MaxPool(**_draw_window(random), ceil_mode=random.random() < 0.5),
    AveragePool: lambda random, _: AveragePool(
        **_draw_window(random), ceil_mode=random.random() < 0.5, count_include_pad=random.random() < 0.5
    ),
    AdaptiveAveragePool: lambda random, _: AdaptiveAveragePool(output=random.choice([(1, 1), (2, 3)])),
    LeakyRelu: lambda random, _: LeakyRelu(negative_slope=random.choice([0.0, 0.1, 1.0])),
}
"""Operations that are not the same everywhere."""


def draw_record(random: Random, channels: Sequence[int], without: Collection[type[Operation]]) -> Network:
    """A network of up to two dozen nodes, each of which reads values before it, mostly late ones.

    channels: that layers may have. without: operations that are not drawn.
    """
    operations = [one for one in OPERATIONS.values() if one not in without]
    picture = (random.choice(channels), random.randint(5, 9), random.randint(5, 9))
    nodes, shapes = (
        [Node(Relu(), (PICTURE,), "first")],
        list[Shape]([picture, picture]),
    )  # the picture's is the last one
    for _ in range(random.randrange(_MOST_NODES)):
        (drawn,) = random.choices(operations, [4 if one is Convolution else 1 for one in operations])
        operation = ATTRIBUTES[drawn](random, channels) if drawn in ATTRIBUTES else drawn()
        found = _find_inputs(random, operation, shapes)
        if found is not None:
            inputs, shape = found
            place = random.choice(["", "block.", "block.inner."])
            nodes.append(Node(operation, inputs, f"{place}node{len(nodes)}"))
            shapes.insert(-1, shape)
    return Network(picture, *_keep_used(nodes))


def _find_inputs(random: Random, operation: Operation, shapes: list[Shape]) -> tuple[tuple[int, ...], Shape] | None:
    fewest, most = operation.num_inputs
    indices = range(PICTURE, len(shapes) - 1)
    for _ in range(_TRIALS):
        count = random.randint(fewest, min(most, 3))
        inputs = tuple(
            random.choices(indices, cum_weights=list(itertools.accumulate(2.0**n for n in indices)), k=count)
        )
        try:
            return inputs, operation.infer_shape(tuple(shapes[index] for index in inputs))
        except InvalidNetwork:
            continue
    return None


def _keep_used(nodes: list[Node]) -> tuple[tuple[Node, ...], int]:
    """The nodes that lead to the last one, and its index among them."""
    used = {len(nodes) - 1}
    for number in range(len(nodes) - 1, -1, -1):
        if number in used:
            used.update(nodes[number].inputs)
    numbers = sorted(used - {PICTURE})
    index = {old: new for new, old in enumerate(numbers)} | {PICTURE: PICTURE}
    kept = [replace(nodes[old], inputs=tuple(index[read] for read in nodes[old].inputs)) for old in numbers]
    return tuple(kept), len(kept) - 1


def records(
    *, channels: Sequence[int] = CHANNELS, without: Collection[type[Operation]] = ()
) -> st.SearchStrategy[Network]:
    """Networks that are drawn by lot, see `draw_record`. A failure shows the record itself."""
    return st.integers(0, 2**32 - 1).map(lambda seed: draw_record(Random(seed), channels, without))
