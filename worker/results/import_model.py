"""The result of an `import` job."""

from __future__ import annotations

from pydantic import Field

from worker.model_summary import Recorded
from worker.results.model_result import StoredModelResult


class ImportOrigin(Recorded):
    """What the file said of itself, and what was made of that."""

    class_match: str | None = Field(
        description="How its classes were found in the data set: `same`, `permuted`, or `by_position` alone; null "
        "where it was measured on none."
    )
    format: str = Field(description="`checkpoint`, `compressed`, `state_dict` or `onnx`.")
    weight_types: tuple[str, ...] = Field(description="Of a checkpoint or a state dict, as safetensors names them.")
    dataset: str | None = Field(description="What it says that it was trained on.")
    split_seed: int | None
    num_train_examples: int | None
    num_unknown_facts: int = Field(description="Things that this version does not know: they are not kept.")


class ImportResult(StoredModelResult):
    """A model that was made elsewhere, measured like any other; or on nothing, and `not_measured` says why."""

    widths: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    imported_from: ImportOrigin | None = None
