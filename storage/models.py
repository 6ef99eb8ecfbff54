"""Trained and compressed networks, and where each came from."""

from __future__ import annotations

from sqlmodel import Session, col, select

from storage.errors import NotFound
from storage.owners import is_visible, only_visible
from storage.paging import Page, fetch_page
from storage.tables import Job, Model


def get_model(session: Session, model_id: str) -> Model:
    """The model. Raises NotFound."""
    model = session.get(Model, model_id)
    if model is None or not is_visible(session, model):
        raise NotFound("there is no model with this id")
    return model


def find_newest_model(session: Session, job_kind: str) -> Model | None:
    """The model that the newest succeeded job of this kind made, or None. Steps do not count: a control is no model
    that anybody means by "the latest".
    """
    # From the models, newest first, to each one's job by its id: the walk ends at the first that fits.
    query = select(Model).join(Job, col(Job.id) == col(Model.job_id)).where(*only_visible(session, Model))
    query = query.where(
        col(Job.kind) == job_kind, col(Job.output_model_id) == col(Model.id), col(Job.parent_job_id).is_(None)
    )
    return session.exec(query.order_by(col(Model.created_at).desc(), col(Model.id).desc()).limit(1)).first()


def list_models(
    session: Session,
    *,
    job_id: str | None = None,
    parent_model_id: str | None = None,
    page_size: int = 50,
    page_token: str | None = None,
) -> Page[Model]:
    """Models, newest first. Raises InvalidPageToken."""
    query = select(Model).where(*only_visible(session, Model))
    if job_id is not None:
        query = query.where(col(Model.job_id) == job_id)
    if parent_model_id is not None:
        query = query.where(col(Model.parent_model_id) == parent_model_id)
    return fetch_page(session, query, Model, page_size, page_token)


def get_lineage(session: Session, model_id: str) -> list[Model]:
    """The model, its parent, and so on back to the one that was trained. Raises NotFound."""
    lineage = [get_model(session, model_id)]
    while (parent_id := lineage[-1].parent_model_id) is not None:
        lineage.append(get_model(session, parent_id))
    return lineage
