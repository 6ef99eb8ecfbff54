"""The result of a `train` job."""

from __future__ import annotations

from pydantic import Field

from worker.catalog import ClassWeighting
from worker.results.model_result import Epoch, ModelResult


class TrainResult(ModelResult):
    """What a training ended with: the epoch that was best on validation."""

    widths: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    initial_model_id: str | None = Field(None, description="The model whose weights the training began with.")
    replaced_layer: str | None = Field(
        None, description="The last layer, begun anew for other classes than the model's."
    )
    history: tuple[Epoch, ...] | None = Field(None, description="Of the attempt that is kept.")
    best_epoch: int | None = Field(None, description="0 where the weights are those that the training began with.")
    precision: str | None = Field(None, description="`float32` or `bfloat16`: what `auto` came to.")
    num_train_examples: int | None = None
    asked_train_examples: int | None = Field(None, description="`max_train_examples` of the spec.")
    asked_epochs: int | None = None
    stopped_early: bool | None = None
    is_mirrored: bool | None = Field(None, description="Pictures were mirrored at random.")
    max_shift: int | None = Field(None, description="Pixels that pictures were shifted by at most, at random.")
    class_weighting: ClassWeighting | None = None
