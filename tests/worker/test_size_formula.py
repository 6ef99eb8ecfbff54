"""Bytes by hand."""

from __future__ import annotations

import pytest

from worker.size_formula import compute_size_bytes, count_chain_weights, count_convolution_weights


@pytest.mark.parametrize(
    ("layers", "bits", "expected"),
    [((784, 300, 100, 10), 32, 266_200 * 4), ((3, 3), 1, 2), ((4, 2, 2), (8, 4), 10)],
)
def test_the_clients_formula_by_hand(layers: tuple[int, ...], bits: int | tuple[int, ...], expected: int) -> None:
    assert compute_size_bytes(count_chain_weights(layers), bits) == expected


@pytest.mark.parametrize("layers", [(3,), ()])
def test_fewer_than_two_layers_are_no_network(layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two layers"):
        count_chain_weights(layers)


def test_there_is_one_bit_width_for_each_layer_that_has_weights() -> None:
    with pytest.raises(ValueError, match="2 layers"):
        compute_size_bytes([9, 9], (8,))


@pytest.mark.parametrize(
    ("channels", "kernel_size", "groups", "expected"),
    [((1, 32), (3, 3), 1, 288), ((32, 64), (3, 3), 1, 18_432), ((24, 24), (3, 3), 24, 216), ((8, 4), (1, 7), 2, 112)],
)
def test_a_filter_reads_the_channels_of_its_group(
    channels: tuple[int, int], kernel_size: tuple[int, ...], groups: int, expected: int
) -> None:
    assert count_convolution_weights(*channels, kernel_size, groups) == expected


@pytest.mark.parametrize("channels", [(3, 4), (4, 3)])
def test_groups_that_do_not_divide_the_channels_are_refused(channels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="groups"):
        count_convolution_weights(*channels, (3, 3), 2)
