"""What a claim is held against: the same effort without the thing that is claimed to help. No torch here.

A study runs each as a step, beside pruning and the compressed file; `compress` makes a file of each, beside the one it
chose. Both read here in what a control differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from worker.catalog import PruningMethod


class ControlKind(StrEnum):
    """The controls, in the order in which they are run and told."""

    UNPRUNED = "unpruned"
    RANDOM = "random"
    SMALL_DENSE = "small_dense"

    @property
    def step(self) -> str:
        """Its name among the steps of a study."""
        return f"control_{self}"


@dataclass(frozen=True)
class ControlDesign:
    """In what a control differs, and in nothing else. name: as a result of `compress` has it.

    is_pruned: as sparse as what it is held against, its weights chosen by `method`. is_fresh: a small network of about
    the same bytes, trained from scratch for as long.
    """

    name: str
    is_pruned: bool = False
    method: PruningMethod = PruningMethod.MAGNITUDE
    is_fresh: bool = False


CONTROLS = {
    ControlKind.UNPRUNED: ControlDesign("not pruned"),
    ControlKind.RANDOM: ControlDesign("pruned at random", is_pruned=True, method=PruningMethod.RANDOM),
    ControlKind.SMALL_DENSE: ControlDesign("small dense", is_fresh=True),
}
