"""One file for each format that a user's pictures may come in; the first that recognizes a file reads it."""

from __future__ import annotations

from collections.abc import Callable

from storage.errors import InvalidDataset
from worker.catalog import DatasetFormat
from worker.dataset_files.archive import Archive
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import PictureSource, RefusalLog
from worker.registry import Registry

RECOGNIZERS = Registry[Callable[[Archive, DatasetOptions], bool]](DatasetFormat, __name__, "recognizes")
"""Whether a file looks like one of the format."""
READERS = Registry[Callable[[Archive, DatasetOptions, RefusalLog], PictureSource]](DatasetFormat, __name__, "read")
"""Lists the pictures of a file; what cannot become one goes to the log. Raises InvalidDataset."""


_OF_COLUMNS = (DatasetFormat.LABELS_CSV, DatasetFormat.PARQUET)


def find_format(archive: Archive, options: DatasetOptions) -> DatasetFormat:
    """The format of a file, found by what is in it where nobody named it. Raises InvalidDataset."""
    found = options.format or next((name for name in DatasetFormat if RECOGNIZERS[name](archive, options)), None)
    if found is None:
        raise InvalidDataset(
            "this is neither a Parquet file nor a zip file of pictures, arrays or tables of them", field="file"
        )
    if options.label_column is not None and found not in _OF_COLUMNS:
        raise InvalidDataset(f"the file is read as {found}, which has no columns", field="label_column")
    return found
