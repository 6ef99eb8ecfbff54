"""What the names of the catalogue stand for: each is the name of a module, and the module holds the function.

So something new takes one file, and one line in worker/catalog.py. Nothing is looked up in any other way: a name that
is not in the catalogue is refused, and so is one without its module.
"""

from __future__ import annotations

import importlib
import keyword
from enum import StrEnum
from typing import Generic, TypeVar, cast

Function = TypeVar("Function")


class Registry(Generic[Function]):
    """Maps a name to the object called `attribute` in the module of that name in `package`."""

    def __init__(self, names: type[StrEnum], package: str, attribute: str) -> None:
        self.names, self.package, self.attribute = names, package, attribute

    def __getitem__(self, name: str) -> Function:
        """The object that `name` stands for. Raises ValueError where the catalogue does not have the name."""
        module = importlib.import_module(f"{self.package}.{name_module(self.names(name))}")
        return cast("Function", getattr(module, self.attribute))


def name_module(name: str) -> str:
    """The module of a name: called alike, with an underscore where Python has the word for itself."""
    return f"{name}_" if keyword.iskeyword(name) else str(name)
