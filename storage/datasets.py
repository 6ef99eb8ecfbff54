"""Pictures that owners brought, each with the job that read them."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import Session, col, select

from storage.errors import NotFound
from storage.owners import is_visible, only_visible
from storage.paging import Page, fetch_page
from storage.tables import Dataset, Model


def get_dataset(session: Session, dataset_id: str) -> Dataset:
    """The data set. Raises NotFound."""
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or not is_visible(session, dataset):
        raise NotFound("there is no data set with this id")
    return dataset


def find_newest_dataset(session: Session) -> Dataset | None:
    """The one that was brought last, or None."""
    query = select(Dataset).where(*only_visible(session, Dataset))
    return session.exec(query.order_by(col(Dataset.created_at).desc(), col(Dataset.id).desc()).limit(1)).first()


def list_datasets(session: Session, *, page_size: int = 50, page_token: str | None = None) -> Page[Dataset]:
    """Data sets, newest first. Raises InvalidPageToken."""
    return fetch_page(session, select(Dataset).where(*only_visible(session, Dataset)), Dataset, page_size, page_token)


def find_model_of(session: Session, dataset_ids: Collection[str], ignored_jobs: Collection[str]) -> Model | None:
    """A model that was trained or measured on one of the data sets. ignored_jobs: whose models do not count."""
    query = select(Model).where(col(Model.dataset).in_(dataset_ids), col(Model.job_id).not_in(ignored_jobs))
    return session.exec(query.order_by(col(Model.id)).limit(1)).first()
