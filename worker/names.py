"""What a name may hold: of a job, a model, a class, the value of a label. Torch-free: the API checks by it too.

A line of text of which something is seen. No control characters: PostgreSQL refuses NUL, and the rest has no place in
a line of a log. None that show nothing or turn the direction of what stands around them: two names that look alike
would be two. Within a name the joiners stay, without which Persian and Hindi cannot be spelt and families are no emoji.
"""

from __future__ import annotations

import re

_REFUSED = (
    r"\x00-\x1F\x7F-\x9F\u2028\u2029"  # controls, ends of lines
    r"\u00AD\u180E\u200B\u2060-\u2065\uFEFF\uFFF9-\uFFFB"  # of no width
    r"\u061C\u200E\u200F\u202A-\u202E\u2066-\u206F"  # of direction
    # Tags: as they are, since no escape for them is known to Python, Rust and JavaScript alike.
    "\U000e0000-\U000e007f"
)
_UNSEEN = (
    r"\s\u034F\u115F\u1160\u17B4\u17B5\u200C\u200D\u2800\u3164\uFFA0\uFE00-\uFE0F"
    "\U000e0080-\U000e0fff"
)
"""Allowed, but no name by themselves: spaces, joiners, blank letters, variation selectors."""

NAME = f"^[^{_REFUSED}]*[^{_REFUSED}{_UNSEEN}][^{_REFUSED}]*$"
"""A regular expression that pydantic, Python and a browser read alike."""

MOST_LISTED = 6
"""Names that a sentence lists; of more it tells how many there are."""

_NAME = re.compile(NAME.removeprefix("^").removesuffix("$"))


def is_name(text: str) -> bool:
    """Whether people can read it, and nothing else is in it."""
    return _NAME.fullmatch(text) is not None
