"""What a training begins with: fresh weights of a named network, or those of a stored model. Torch-free."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from storage.errors import InvalidSpec
from worker.catalog import Architecture, DatasetFacts, DatasetName
from worker.dataset_refs import DatasetRef, Describe, get_facts, has_pictures_to_validate, is_stored
from worker.fine_tuning_facts import describe_fine_tuned
from worker.job_spec import JobSpec, ModelId
from worker.memory_estimate import MemoryEstimate, describe_for_pictures, find_facts, find_shape_field
from worker.network.record import Network
from worker.network_names import NetworkName, describe_named
from worker.network_widths import WIDTH_RULES, Widths, check_widths


def _leave_out(field: str) -> dict[str, Any]:
    """JSON Schema: the field is null beside `initial_model_id`."""
    both = {"initial_model_id": {"type": "string"}, field: {"not": {"type": "null"}}}
    return {"not": {"properties": both, "required": [*both]}}


START_RULES: list[JsonValue] = [*WIDTH_RULES, _leave_out("architecture"), _leave_out("widths")]
"""JSON Schema of what goes together."""


class TrainingStart(JobSpec):
    """A job that trains a network on a data set, from scratch or from a stored model."""

    compares_accuracy: ClassVar[bool] = False

    initial_model_id: ModelId | None = Field(
        None,
        description="Fine-tuning: the training begins with the weights of this float model instead of fresh ones. "
        "Where the data set has classes of other names, the last layer is replaced by a fresh one. "
        "The split is drawn by the seed that drew the model's.",
    )
    dataset: DatasetRef | None = Field(
        None,
        validate_default=True,
        description="By default `fashion_mnist`; with `initial_model_id` that model's own, and its split. Needed where "
        "that model was measured on none.",
    )
    architecture: NetworkName | None = Field(
        None,
        validate_default=True,
        description="By default `fashion_cnn`; with `initial_model_id` that model's own, and none may be named.",
    )
    widths: Widths = None

    @field_validator("dataset")
    @classmethod
    def _choose_dataset(cls, dataset: str | None, info: ValidationInfo) -> str | None:
        is_fresh = info.data.get("initial_model_id") is None
        return DatasetName.FASHION_MNIST if dataset is None and is_fresh else dataset

    @field_validator("architecture")
    @classmethod
    def _choose_architecture(cls, architecture: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("initial_model_id") is not None:
            if architecture is not None:
                raise ValueError("the network is that of initial_model_id: leave it out")
            return None
        name = str(Architecture.FASHION_CNN) if architecture is None else architecture
        if (dataset := info.data.get("dataset")) is not None and not is_stored(dataset):
            # Raises InvalidNetwork, a ValueError, where the pictures are too small; of a data set that somebody
            # brought that is found out where its facts are at hand, by `estimate_memory`.
            facts = DatasetName(dataset).facts
            describe_named(name, None, facts.input_shape, len(facts.class_names))
        return name

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, widths: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        if widths is not None and info.data.get("initial_model_id") is not None:
            raise ValueError("the network is that of initial_model_id: leave them out")
        return check_widths(widths, info.data.get("architecture"))

    def check_facts(self, describe: Describe) -> None:
        """Refuses pictures of which none may validate."""
        if self.dataset is not None and not has_pictures_to_validate(self.dataset, describe):
            raise InvalidSpec(
                "dataset: each of its classes has a single picture to train on, and none to validate", field="/dataset"
            )

    def find_facts(self, describe: Describe) -> DatasetFacts:
        """The shape, the classes and the number of pictures of what is trained on."""
        if self.dataset is None and self.initial_model_id is not None:
            return find_facts(describe(self.initial_model_id), describe)
        return get_facts(self.dataset or DatasetName.FASHION_MNIST, describe)

    def describe_network(self, describe: Describe) -> Network | None:
        """What is trained; None where the stored model does not say what network it is.

        Raises InvalidSpec where it does not fit the pictures.
        """
        if self.initial_model_id is not None:
            return describe_fine_tuned(describe(self.initial_model_id), self.dataset, describe)
        if self.architecture is None:
            return None
        return describe_for_pictures(self.architecture, self.widths, self.find_facts(describe))

    def find_start_field(self, estimate: MemoryEstimate) -> str:
        """Names the data set, or what says of which shape the network is."""
        field = find_shape_field(estimate, has_widths=self.widths is not None)
        return "initial_model_id" if field == "architecture" and self.initial_model_id is not None else field
