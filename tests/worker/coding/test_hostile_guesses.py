"""A guess comes from another value, whose limit may have been higher: no file may take one beyond its own limit."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.errors import InvalidModel
from tests.fuzz.mutations import seal
from tests.fuzz.readers import compare_readers
from tests.worker.coding.networks import build_layer, build_network, build_small_network
from worker.coding import decode_network, encode_network, reader
from worker.coding.container import _code_network
from worker.coding.fields import Fields
from worker.coding.ranges import RangeReader, RangeWriter
from worker.coding.scan import choose_scans
from worker.coding.weights import Scan
from worker.integer_network import IntegerNetwork

CASES = sorted((Path(__file__).parent / "cases").glob("*.tonok"))
"""Found by a stranger: mutations of the service's files that 13ab725 answered with ValueError or OverflowError."""


class LyingFields(Fields):
    """Writes the flags of some kinds otherwise than told, in order; None leaves one as it is."""

    def __init__(self, coder: RangeWriter, lies: Mapping[Hashable, Sequence[int | None]]) -> None:
        super().__init__(coder)
        self._lies: dict[Hashable, Iterator[int | None]] = {kind: iter(flags) for kind, flags in lies.items()}

    def bit(self, kind: Hashable, value: int) -> int:
        lie = next(self._lies.get(kind, iter(())), None)
        return super().bit(kind, value if lie is None else lie)


def forge(network: IntegerNetwork, lies: Mapping[Hashable, Sequence[int | None]]) -> bytes:
    """The network's file with false flags, as far as the writer gets with them."""
    writer = RangeWriter()
    with contextlib.suppress(InvalidModel, ValueError, OverflowError):
        _code_network(LyingFields(writer, lies), network, choose_scans(network), 1 << 16, version=1)
    return seal(writer.finish())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_found_case_is_refused_by_both_readers(case: Path) -> None:
    with pytest.raises(InvalidModel):
        decode_network(case.read_bytes())
    with pytest.raises(reader.InvalidModel):
        reader.read_file(case.read_bytes())


@pytest.mark.parametrize(("guess", "limit", "is_valid"), [(23, 23, True), (24, 23, False), (2000, 254, False)])
def test_a_guess_is_taken_up_to_the_limit_of_the_value_it_becomes(guess: int, limit: int, is_valid: bool) -> None:
    writer = RangeWriter()
    Fields(writer).guessed("a", guess, guess, 1 << 20)
    data = writer.finish()

    def read_with_service() -> int:
        return Fields(RangeReader(data)).guessed("a", 0, guess, limit)

    def read_with_reference() -> int:
        return reader.Reader(reader.Bits(data)).guessed("a", guess, limit)

    if is_valid:
        assert read_with_service() == read_with_reference() == guess
        return
    with pytest.raises(InvalidModel) as error:
        read_with_service()
    assert error.value.field == "a"
    with pytest.raises(reader.InvalidModel):
        read_with_reference()


@pytest.mark.parametrize(
    ("kind", "lies"),
    [
        ("exponent", {}),
        # 18 bits said in six binary places instead of five: 50, which no float32 has.
        ("mantissa bits", {("scale mantissa bits", 4): [1]}),
    ],
)
def test_a_narrow_array_does_not_take_a_guess_from_a_wide_one_beyond_its_own_limit(
    kind: str, lies: dict[Hashable, list[int | None]]
) -> None:
    first, second = build_small_network().layers
    network = build_network(replace(first, scale=np.full(4, 1 + 2.0**-18, np.float32)), second)
    wide: dict[Hashable, list[int | None]] = {("scale", "wide"): [1, 1], **lies}
    assert compare_readers(forge(network, wide)) == "read"
    narrow: dict[Hashable, list[int | None]] = {("scale", "wide"): [1, 0], (f"scale {kind}", "guessed"): [None, 1]}
    data = forge(network, wide | narrow)
    assert compare_readers(data) == "refused"


def test_a_wide_array_of_scales_is_read_where_float32_holds_each_and_refused_where_not() -> None:
    network = build_small_network()
    exact = forge(network, {("scale", "wide"): [1, 1], ("bias", "wide"): [1, 1]})
    read = decode_network(exact)
    assert [layer.scale.tobytes() for layer in read.layers] == [layer.scale.tobytes() for layer in network.layers]
    assert compare_readers(exact) == "read"


@pytest.mark.parametrize("value", [1e300, 1 / 3, 1e-300])
def test_a_scale_that_float32_does_not_hold_is_refused(value: float) -> None:
    class WideScales(Fields):
        """Writes scales that no float32 holds."""

        def floats(self, kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
            return super().floats(kind, np.full_like(values, value) if kind == "scale" else values)

    network = build_small_network()
    writer = RangeWriter()
    with contextlib.suppress(InvalidModel), np.errstate(over="ignore"):
        _code_network(WideScales(writer), network, choose_scans(network), 1 << 16, version=1)
    data = seal(writer.finish())
    assert compare_readers(data) == "refused"


def test_a_magnitude_that_only_fits_because_a_byte_wraps_is_refused() -> None:
    class Ones(RangeWriter):
        """Writes nothing but ones in blocks: every weight becomes -255."""

        def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
            return super().code_block(probability, np.ones_like(bits))

    writer = Ones()
    network = build_network(build_layer("fc1", np.ones((2, 3), np.int8), bit_width=8))
    with contextlib.suppress(InvalidModel):
        _code_network(Fields(writer), network, (Scan(in_blocks=True),), 1 << 16, version=1)
    assert compare_readers(seal(writer.finish())) == "refused"


def test_a_kernel_of_more_positions_than_a_side_may_have_comes_back() -> None:
    weight = np.zeros((1, 1, 1024, 1025), np.int8)
    weight[0, 0, 3, 7] = 1
    read = decode_network(encode_network(build_network(build_layer("conv1", weight))))
    np.testing.assert_array_equal(read.layers[0].weight, weight)
