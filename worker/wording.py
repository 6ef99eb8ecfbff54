"""How lists are told in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def name_first(names: Sequence[str], most: int) -> str:
    """The first names, no more than `most`, with commas; dots where others follow."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
