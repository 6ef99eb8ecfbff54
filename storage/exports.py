"""The files that `export` jobs wrote of a stored model."""

from __future__ import annotations

from sqlmodel import Session, col, func, select

from storage.owners import only_visible
from storage.tables import Artifact, Job, JobStatus

_EXPORT = "export"
"""The kind of the jobs, and `ArtifactKind.EXPORT` of worker/catalog.py."""


def list_exports(session: Session, model_id: str) -> dict[str, str]:
    """Format → id of the newest artifact; a file is called after its format. Of jobs that succeeded."""
    # Ids grow with time.
    newest = select(Artifact.name, func.max(Artifact.id)).join(Job, col(Job.id) == col(Artifact.job_id))
    of_model = newest.where(
        col(Job.model_id) == model_id,
        col(Job.kind) == _EXPORT,
        col(Job.status) == JobStatus.SUCCEEDED,
        col(Artifact.kind) == _EXPORT,
        *only_visible(session, Job),
    )
    rows = session.exec(of_model.group_by(col(Artifact.name)).order_by(col(Artifact.name))).all()
    return {name.partition(".")[0]: artifact_id for name, artifact_id in rows}
