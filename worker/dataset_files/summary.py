"""What is to be known of a data set that a user brought. NumPy-free: the API answers it."""

from __future__ import annotations

from pydantic import Field

from worker.catalog import Conversion, DatasetFormat, DatasetWarning, RefusalReason, SplitName
from worker.model_summary import Recorded
from worker.picture_policy import ResizePolicy


class RefusedEntries(Recorded):
    """What became no picture for one reason."""

    reason: RefusalReason
    count: int
    names: tuple[str, ...] = Field(description="The first twenty.")


class DatasetNotice(Recorded):
    """One thing to know of a data set."""

    code: DatasetWarning
    detail: str = Field(description="A sentence for people.")
    split: SplitName | None = Field(None, description="That it is about.")
    count: int = Field(description="Of the pictures or the classes that it is about.")
    class_names: tuple[str, ...] = Field((), description="The first twenty classes that it is about.")


class DatasetSummary(Recorded):
    """The facts of a data set, counted while its pictures were decoded."""

    format: DatasetFormat
    class_names: tuple[str, ...] = Field(description="In the order of the labels.")
    input_shape: tuple[int, int, int] = Field(description="Channels, height and width of every picture.")
    resize: ResizePolicy
    counts: dict[SplitName, tuple[int, ...]] = Field(description="Pictures of each class, by split.")
    is_test_drawn: bool = Field(description="The file had no test split: it was drawn from the others.")
    num_shared: int = Field(description="Test pictures that have the very pixels of a training picture.")
    seed: int
    mean: tuple[float, ...] = Field(description="Of each channel of the training split, a pixel being 0 to 1.")
    std: tuple[float, ...]
    is_mirrorable: bool = Field(description="Training may mirror its pictures left to right.")
    refused: tuple[RefusedEntries, ...]
    num_ignored: int = Field(description="Hidden files, and what operating systems add, such as `.DS_Store`.")
    conversions: dict[Conversion, int] = Field(description="What was done to how many of the pictures.")
    notices: tuple[DatasetNotice, ...] = Field((), description="`warnings` for programs.")
    warnings: tuple[str, ...]
    sha256: str = Field(description="Of the decoded cache file.")
    num_bytes: int = Field(description="Of the decoded cache file.")
