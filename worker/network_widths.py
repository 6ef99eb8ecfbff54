"""The hidden widths that a spec may choose of a network, as a field and as JSON Schema. Torch-free."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue

from worker.catalog import Architecture
from worker.job_spec import describe_rules
from worker.network.architectures import NUM_WIDTHS
from worker.network_names import TORCHVISION_NAMES, is_built_in


def _as_many(count: int) -> dict[str, Any]:
    return {"anyOf": [{"type": "array", "minItems": count, "maxItems": count}, {"type": "null"}]}


def check_widths(widths: tuple[int, ...] | None, name: str | None) -> tuple[int, ...] | None:
    """The widths, where the network has so many to choose. name: None where it was wrong already."""
    if widths is None or name is None:
        return widths
    if not is_built_in(name):
        raise ValueError("networks of torchvision have no widths to choose")
    wanted = NUM_WIDTHS[Architecture(name)]
    if wanted is not None and len(widths) != wanted:
        raise ValueError(f"the architecture has {wanted} hidden widths, {len(widths)} were given")
    return widths


Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None,
    Field(
        min_length=1,
        max_length=16,
        description="Channels or neurons of each hidden layer; by default the architecture's own.",
    ),
]
WIDTH_RULES: list[JsonValue] = [
    *(
        rule
        for name in Architecture
        if (count := NUM_WIDTHS[name]) is not None
        for rule in describe_rules("architecture", [name], Architecture.FASHION_CNN, widths=_as_many(count))
    ),
    *describe_rules("architecture", TORCHVISION_NAMES, Architecture.FASHION_CNN, widths={"type": "null"}),
]
"""JSON Schema of `check_widths`."""
