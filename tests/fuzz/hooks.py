"""What a client must know and no schema can say: a new request takes a new Idempotency-Key; groups divide channels; a
model's file begins as one, and so does a file of pictures."""

from __future__ import annotations

import math
import re
import uuid
from typing import Any

import schemathesis

from service.schemas.sizes import MOST_CHANNELS
from tests.service.model_files import ZIP, frame

_VALID = re.compile(r"[ -~]{1,200}")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    content = getattr(case.body, "data", case.body)  # bytes, or Schemathesis's wrapper of them
    if case.path == "/v1/models" and isinstance(content, bytes) and content:
        case.body = frame(content)
    if case.path == "/v1/datasets" and isinstance(content, bytes) and content:
        case.body = ZIP + content
    layers = case.body.get("layers") if isinstance(case.body, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        _fit_groups(layer)


def _fit_groups(layer: Any) -> None:
    """Groups that divide the channels, in place of any that the schema allows; what it forbids stays as it is."""
    names = ("in_channels", "out_channels", "groups")
    sizes: list[Any] = [layer.get(name) for name in names] if isinstance(layer, dict) else []
    # As the schema has it, 3.0 is a number of channels and true is none.
    counts = [
        int(size) for size in sizes if type(size) in (int, float) and 1 <= size <= MOST_CHANNELS and size % 1 == 0
    ]
    if len(counts) == len(names):
        layer["groups"] = math.gcd(*counts)
