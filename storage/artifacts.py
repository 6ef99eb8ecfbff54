"""The rows of stored files."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import exists, or_
from sqlmodel import Session, col, select

from storage.database import serialize
from storage.errors import NotFound
from storage.files import FileStore
from storage.ids import new_id
from storage.owners import is_visible, only_visible
from storage.tables import Artifact, Job, utc_now

_PUBLISH_LOCK = 7_406_019
_UPLOAD = "upload"
"""`ArtifactKind.UPLOAD` of worker/catalog.py."""


def get_artifact(session: Session, artifact_id: str) -> Artifact:
    """The artifact. Raises NotFound."""
    artifact = session.get(Artifact, artifact_id)
    if artifact is None or not is_visible(session, session.get_one(Job, artifact.job_id)):
        raise NotFound("there is no artifact with this id")
    return artifact


def get_artifact_of_job(session: Session, job_id: str, name: str) -> Artifact:
    """The job's artifact with this id or this file name. Raises NotFound."""
    query = select(Artifact).where(
        col(Artifact.job_id) == job_id, or_(col(Artifact.id) == name, col(Artifact.name) == name)
    )
    artifact = session.exec(query.join(Job).where(*only_visible(session, Job)).limit(1)).first()
    if artifact is None:
        raise NotFound("this job has no artifact of this id or name")
    return artifact


def list_artifacts(session: Session, job_id: str) -> list[Artifact]:
    """The artifacts of a job, in the order they were made. Whoever may see the job may see them."""
    return list(session.exec(select(Artifact).where(col(Artifact.job_id) == job_id).order_by(col(Artifact.id))).all())


def build_artifact(*, job_id: str, kind: str, name: str, media_type: str, sha256: str, num_bytes: int) -> Artifact:
    """A row, not yet part of any session."""
    return Artifact(
        id=new_id("art"),
        job_id=job_id,
        kind=kind,
        name=name,
        media_type=media_type,
        sha256=sha256,
        num_bytes=num_bytes,
        created_at=utc_now(),
    )


def hand_on_uploads(session: Session, job_id: str, heir_id: str) -> None:
    """A job that is submitted again gets the file that came with the first."""
    lock_publication(session)
    for artifact in list_artifacts(session, job_id):
        if artifact.kind == _UPLOAD:
            session.add(
                build_artifact(
                    job_id=heir_id,
                    kind=artifact.kind,
                    name=artifact.name,
                    media_type=artifact.media_type,
                    sha256=artifact.sha256,
                    num_bytes=artifact.num_bytes,
                )
            )


def lock_publication(session: Session) -> None:
    """Until the transaction ends no file is removed: what `FileStore.has` then says about a file stays true."""
    serialize(session, _PUBLISH_LOCK)


def remove_unreferenced(session: Session, files: FileStore, hashes: Collection[str]) -> None:
    """Removes those of the files that no row names. Needs a transaction, and makes publishers wait."""
    lock_publication(session)
    for sha256 in hashes:
        if not session.exec(select(exists().where(col(Artifact.sha256) == sha256))).one():
            files.remove(sha256)
