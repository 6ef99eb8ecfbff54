"""Reads compressed files with nothing but NumPy and the standard library: docs/format.md as a program.

Written apart from the coder that the service uses, from the description alone: its own range decoder, no
`constriction`, no PyTorch, no import from this project. Copy this one folder to read `.tonok` files elsewhere. It
refuses what the service refuses, with its one error `InvalidModel`: tests/fuzz/readers.py holds the two together.
"""

from __future__ import annotations

from .bits import Bits, InvalidModel
from .fields import Reader
from .file import read_file

__all__ = ["Bits", "InvalidModel", "Reader", "read_file"]
