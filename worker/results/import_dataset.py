"""The result of an `import_dataset` job."""

from __future__ import annotations

from worker.dataset_files.summary import DatasetSummary


class ImportDatasetResult(DatasetSummary):
    """Pictures that somebody brought, as a data set that other jobs may name."""

    dataset_id: str
