"""The names of networks that a spec may ask for: the built-in ones, and torchvision's."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from worker.catalog import Architecture
from worker.network.architectures import describe_network
from worker.network.layers import has_batch_norm
from worker.network.record import Network
from worker.network.torchvision_records import NAMES, PREFIX, describe_torchvision

TORCHVISION_NAMES = tuple(f"{PREFIX}{name}" for name in NAMES)
NETWORK_NAMES = (*map(str, Architecture), *TORCHVISION_NAMES)


def _read_name(said: Any) -> str:
    if not isinstance(said, str) or said not in NETWORK_NAMES:
        raise ValueError(f"it is none of {', '.join(Architecture)}, nor {PREFIX}NAME as GET /v1/methods lists them")
    return said


NetworkName = Annotated[
    str, PlainValidator(_read_name), WithJsonSchema({"type": "string", "enum": list(NETWORK_NAMES), "title": "Network"})
]


def is_built_in(name: str) -> bool:
    """Whether it is one of ours, which has hidden widths to choose."""
    return name in list(Architecture)


@lru_cache(maxsize=64)
def describe_named(
    name: str, widths: tuple[int, ...] | None, input_shape: tuple[int, int, int], num_classes: int
) -> Network:
    """The record of the network of that name. Raises InvalidNetwork where the pictures are too small for it.

    Kept: each check of a spec asks for it.
    """
    if is_built_in(name):
        return describe_network(name, widths, input_shape=input_shape, num_classes=num_classes)
    return describe_torchvision(name.removeprefix(PREFIX), input_shape=input_shape, num_classes=num_classes)


def is_batch_normalised(name: str) -> bool:
    """Whether the network of that name normalises by batch, whatever pictures it is for."""
    shape, num_classes = ((1, 28, 28), 10) if is_built_in(name) else ((3, 224, 224), 1000)
    return has_batch_norm(describe_named(name, None, shape, num_classes))
