"""What the API answers about data sets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.schemas.base import Answer, DocumentedAs
from service.schemas.catalog import NamedChoice
from storage.tables import Dataset
from worker.dataset_files.summary import DatasetSummary


class DatasetAnswer(Answer):
    """Pictures that somebody brought, decoded and split."""

    id: str = Field(description="What a spec's `dataset` may be.")
    job_id: str = Field(description="The job that read them: with it they are deleted.")
    name: str
    created_at: datetime
    contact_sheet: str = Field(
        description="Address of a PNG with some pictures of each class. A name whose letters its font lacks stands as "
        "`class N`: the one at that place of `summary.class_names`, counted from 0."
    )
    summary: Annotated[dict[str, Any], DocumentedAs(DatasetSummary)]


class DatasetList(Answer):
    """Data sets by name, and a page of one's own."""

    datasets: list[NamedChoice]
    own: list[DatasetAnswer] = Field(description="Those that were brought, newest first.")
    next_page_token: str | None


def build_dataset(row: Dataset) -> DatasetAnswer:
    """Row → answer."""
    return DatasetAnswer(
        id=row.id,
        job_id=row.job_id,
        name=row.name,
        created_at=row.created_at,
        contact_sheet=f"/v1/datasets/{row.id}/contact-sheet",
        summary=row.summary,
    )
