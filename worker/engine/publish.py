"""From an attempt's staging folder to the file store and to rows not yet written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session

from storage.artifacts import build_artifact, lock_publication, remove_unreferenced
from storage.attempts import Lease
from storage.files import FileStore
from storage.tables import Artifact, Dataset, Model, utc_now
from worker.catalog import ArtifactKind
from worker.engine.outcome import LOG_NAME, Outcome, guess_media_type, staged_file


@dataclass
class Publication:
    """Files that lie in the store, and the rows that will name them."""

    files: FileStore
    lease: Lease
    artifacts: list[Artifact] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    _sources: list[Path] = field(default_factory=list)

    def add(self, source: Path, name: str, kind: ArtifactKind) -> Artifact:
        """Stores one file. Raises DiskFull."""
        stored = self.files.put(source)
        artifact = build_artifact(
            job_id=self.lease.job_id,
            kind=kind,
            name=name,
            media_type=guess_media_type(name),
            sha256=stored.sha256,
            num_bytes=stored.num_bytes,
        )
        self.artifacts.append(artifact)
        self._sources.append(source)
        return artifact

    def secure(self, session: Session) -> None:
        """In the transaction that writes the rows: sees that no deletion has removed a file since it was stored."""
        lock_publication(session)
        for artifact, source in zip(self.artifacts, self._sources, strict=True):
            if not self.files.has(artifact.sha256):
                self.files.put(source)

    def withdraw(self, session: Session) -> None:
        """Removes the files again where no row has come to name them."""
        remove_unreferenced(session, self.files, {artifact.sha256 for artifact in self.artifacts})


def publish_log(publication: Publication, staging: Path) -> None:
    """Adds the attempt's log, if there is one. Raises DiskFull."""
    if (staging / LOG_NAME).is_file():
        publication.add(staging / LOG_NAME, f"log-{publication.lease.attempt}.txt", ArtifactKind.LOG)


def publish_outcome(publication: Publication, staging: Path, outcome: Outcome) -> None:
    """Adds the attempt's log, artifacts, models and data sets. Raises DiskFull, with what had room until then."""
    sources = [staged_file(staging, name) for name in outcome.artifacts]
    # Before the first is stored: all of them find room, or none.
    publication.files.room.check(sum(source.stat().st_size for source in sources))
    publish_log(publication, staging)
    ids = {name: publication.add(staged_file(staging, name), name, kind).id for name, kind in outcome.artifacts.items()}
    publication.models += [
        Model(
            id=model.id,
            job_id=publication.lease.job_id,
            parent_model_id=model.parent_model_id,
            name=model.name,
            architecture=model.architecture,
            dataset=model.dataset,
            files={file_format: ids[name] for file_format, name in model.files.items()},
            summary=dict(model.summary),
            created_at=utc_now(),
        )
        for model in outcome.models
    ]
    publication.datasets += [
        Dataset(
            id=dataset.id,
            job_id=publication.lease.job_id,
            name=dataset.name,
            files={file_format: ids[name] for file_format, name in dataset.files.items()},
            summary=dict(dataset.summary),
            created_at=utc_now(),
        )
        for dataset in outcome.datasets
    ]
