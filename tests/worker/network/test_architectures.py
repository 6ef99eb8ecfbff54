"""The networks that are built in: which widths they have, and which of them a record is of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from tests.worker.network.records import records
from worker.catalog import Architecture
from worker.network.architectures import (
    DEFAULT_WIDTHS,
    describe_network,
    find_architecture,
    read_widths,
    shrink_widths,
)
from worker.network.operations.elementwise import Gelu
from worker.network.record import Network


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_network_is_found_by_its_record_alone(architecture: Architecture) -> None:
    widths = tuple(range(2, 2 + len(DEFAULT_WIDTHS[architecture])))
    network = describe_network(architecture, widths, input_shape=(3, 20, 24), num_classes=6)
    assert find_architecture(network) == architecture
    assert read_widths(architecture, network) == widths


@pytest.mark.parametrize("architecture", list(Architecture))
def test_what_differs_in_one_operation_is_another_network(architecture: Architecture) -> None:
    network = describe_network(architecture)
    relu = max(number for number, node in enumerate(network.nodes) if "relu" in node.name)
    nodes = list(network.nodes)
    nodes[relu] = replace(nodes[relu], operation=Gelu())
    assert find_architecture(Network(network.input_shape, tuple(nodes), network.output)) is None


@given(network=records())
def test_a_network_of_another_kind_is_of_no_architecture(network: Network) -> None:
    assert find_architecture(network) is None


def test_a_shrunk_network_is_the_widest_of_its_proportions_that_fits() -> None:
    def shrink(max_parameters: int) -> tuple[int, ...]:
        return shrink_widths(
            "fashion_cnn",
            (32, 64, 128),
            max_parameters=max_parameters,
            input_shape=(1, 28, 28),
            num_classes=10,
        )

    widths = shrink(3000)
    wider = tuple(width + 1 for width in widths)
    assert describe_network("fashion_cnn", widths).num_parameters <= 3000
    assert describe_network("fashion_cnn", wider).num_parameters > 3000
    assert widths[0] < widths[1] < widths[2]
    assert shrink(1) == (1, 1, 1)
