"""What a client must know and no schema can say: a new request takes a new Idempotency-Key."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

_VALID = re.compile(r"[ -~]{1,200}")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
