"""The result of a `prune` job."""

from __future__ import annotations

from pydantic import Field

from worker.model_summary import Latency, Recorded
from worker.results.model_result import Epoch, ModelResult


class SparsityProbe(Recorded):
    """One measured point of the search. Its accuracy is on validation, the drop in percentage points."""

    sparsity: float = Field(description="That was reached, 0–1.")
    accuracy: float
    drop: float
    within: bool = Field(description="The drop is one that is allowed.")
    retrained_epochs: int = Field(description="From the dense model on.")
    asked_sparsity: float | None = Field(None, description="Null for the model as it was.")
    difference: str | None = Field(
        None,
        description="Why it is not what was asked for: `already_sparser`, `nothing_removed`, `layers_at_least`, "
        "`more_than_asked`; null where it is.",
    )


class Retraining(Recorded):
    """The epochs that followed one stage."""

    sparsity: float = Field(description="At which the zeros stood, 0–1.")
    epochs: tuple[Epoch, ...]
    asked_sparsity: float | None = None


class PruneResult(ModelResult):
    """What was pruned, and the whole curve of accuracy against sparsity."""

    widths: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    chosen: SparsityProbe
    asked_sparsity: float | None = None
    reached_sparsity: float | None = None
    sparsity_difference: str | None = Field(None, description="Why the two are not the same; null where they are.")
    curve: tuple[SparsityProbe, ...] = Field(description="By sparsity.")
    within_max_accuracy_drop: bool | None = Field(None, description="Null where a sparsity was asked for.")
    distillation: bool
    baseline_macs: int
    baseline_latency: Latency | None = None
    history: tuple[Retraining, ...] | None = None
