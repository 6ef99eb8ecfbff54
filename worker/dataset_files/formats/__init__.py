"""One file for each format that a user's pictures may come in; the first that recognizes a file reads it."""

from __future__ import annotations

from collections.abc import Callable

from storage.errors import InvalidDataset
from worker.catalog import DatasetFormat
from worker.dataset_files.archive import Archive
from worker.dataset_files.source import PictureSource, RefusalLog
from worker.registry import Registry

RECOGNIZERS = Registry[Callable[[Archive], bool]](DatasetFormat, __name__, "recognizes")
"""Whether a file looks like one of the format."""
READERS = Registry[Callable[[Archive, RefusalLog], PictureSource]](DatasetFormat, __name__, "read")
"""Lists the pictures of a file; what cannot become one goes to the log. Raises InvalidDataset."""


def find_format(archive: Archive) -> DatasetFormat:
    """The format of a file that nobody named. Raises InvalidDataset."""
    for name in DatasetFormat:
        if RECOGNIZERS[name](archive):
            return name
    raise InvalidDataset(
        "this is neither a Parquet file nor a zip file of pictures, arrays or tables of them", field="file"
    )
