"""Files that commit 13ab725 wrote: read bit by bit as it read them, and written again to the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.readers import read_with_reference, read_with_service
from worker.coding import encode_network
from worker.integer_network import IntegerLayer, IntegerNetwork

FILES = json.loads((Path(__file__).parent / "cases" / "written_by_13ab725.json").read_text())
"""[the file in hexadecimal, the SHA-256 of `describe` of what was read from it]: every architecture and bit width."""


def describe(network: IntegerNetwork) -> str:
    """Everything that a network holds, floats and arrays to the bit."""
    facts = (network.architecture, network.widths, network.input_shape, network.class_names)
    whole = (*facts, *network.mean, *network.std)
    parts = [repr(whole)]
    for layer in network.layers:
        for field in fields(IntegerLayer):
            value = getattr(layer, field.name)
            is_array = isinstance(value, np.ndarray)
            said = f"{value.dtype.str} {value.shape} {value.tobytes().hex()}" if is_array else repr(value)
            parts.append(f"{field.name} {said}")
    return "\n".join(parts)


@pytest.mark.parametrize("read", [read_with_service, read_with_reference])
def test_what_was_written_before_is_read_as_before(read: Callable[[bytes], IntegerNetwork | None]) -> None:
    for data, digest in FILES:
        network = read(bytes.fromhex(data))
        assert network is not None
        assert hashlib.sha256(describe(network).encode()).hexdigest() == digest


@pytest.mark.slow
def test_the_writer_writes_the_same_bytes_as_before() -> None:
    for data, _ in FILES:
        network = read_with_service(bytes.fromhex(data))
        assert network is not None
        assert encode_network(network).hex() == data
