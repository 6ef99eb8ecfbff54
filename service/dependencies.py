"""What routes are given. Their sessions see what the caller owns, and nothing else.

Those that wait for nothing are `async`: FastAPI sends a plain `def` through a thread, which takes longer than they do.
Yielding dependencies end before the answer leaves (`scope="function"`): a commit that fails is a failure to the client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Header, Path, Query, Request
from sqlmodel import Session

from service.access import Caller
from service.group_commit import GroupCommit
from storage.database import Database
from storage.datasets import find_newest_dataset, get_dataset
from storage.errors import NotFound
from storage.files import FileStore
from storage.jobs import find_newest_job, get_job
from storage.models import find_newest_model
from storage.paging import PAGE_POSITION
from storage.settings import Settings
from storage.tables import Dataset, Model


async def get_settings(request: Request) -> Settings:
    """The settings that the app was made with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_database(request: Request) -> Database:
    """The app's database."""
    database: Database = request.app.state.database
    return database


async def get_files(request: Request) -> FileStore:
    """The app's file store."""
    files: FileStore = request.app.state.files
    return files


async def get_group_commit(request: Request) -> GroupCommit:
    """The app's turn to write."""
    group_commit: GroupCommit = request.app.state.group_commit
    return group_commit


async def get_caller(request: Request) -> Caller:
    """Who asks, as service/access.py found out."""
    caller: Caller = request.state.caller
    return caller


SettingsDep = Annotated[Settings, Depends(get_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]
FilesDep = Annotated[FileStore, Depends(get_files)]
GroupCommitDep = Annotated[GroupCommit, Depends(get_group_commit)]


def check_room(files: Annotated[FileStore, Depends(get_files)]) -> None:
    """For what begins something that will need room. Raises DiskFull."""
    files.room.check()


CallerDep = Annotated[Caller, Depends(get_caller)]


def _read_session(database: DatabaseDep, caller: CallerDep) -> Iterator[Session]:
    with database.read(caller.owner) as session:
        yield session


async def _take_turn(request: Request) -> AsyncIterator[None]:
    async with (await get_group_commit(request)).take_turn():
        yield


WriterTurn = Annotated[None, Depends(_take_turn, scope="function")]
"""For what writes without a WriteSession. It stands behind what may be refused, or waits for the client."""


def _write_session(database: DatabaseDep, caller: CallerDep, _turn: WriterTurn) -> Iterator[Session]:
    with database.transaction(caller.owner) as session:
        yield session


ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]

LATEST = "latest"

JobId = Annotated[
    str,
    # The pattern is said and not enforced: an id of another shape is as unknown as any other, and so 404.
    Path(
        description="`job_…`",
        examples=["job_01KAS000000000000000000000"],
        json_schema_extra={"pattern": r"^job_[0-9A-Z]{26}$"},
    ),
]
"""For what changes a job: the one that is named, and no other."""


def _find_job(database: DatabaseDep, caller: CallerDep, job_id: JobId) -> str:
    with database.read(caller.owner) as session:
        return get_job(session, job_id).id


FoundJobId = Annotated[str, Depends(_find_job, scope="function")]
"""As JobId, looked up before a turn to write is waited for: a name that nothing has is a 404 at once."""


async def _resolve_job(
    database: DatabaseDep,
    caller: CallerDep,
    job_id: Annotated[
        str,
        Path(
            description="`job_…`, or `latest`: the job that was submitted last.",
            examples=[LATEST],
            json_schema_extra={"pattern": r"^(latest|job_[0-9A-Z]{26})$"},
        ),
    ],
) -> str:
    if job_id != LATEST:
        return job_id
    return await anyio.to_thread.run_sync(partial(_find_latest_job, database, caller.owner))


def _find_latest_job(database: Database, owner: str) -> str:
    with database.read(owner) as session:
        job = find_newest_job(session)
    if job is None:
        raise NotFound("job_id: no job was submitted yet; POST one to /v1/jobs/train first", field="job_id")
    return job.id


def get_latest_model(session: Session, field: str) -> Model:
    """What `latest` means. Raises NotFound, naming `field`."""
    model = find_newest_model(session, "train")
    if model is None:
        name = field.removeprefix("/")
        raise NotFound(f"{name}: no train job has succeeded yet; POST one to /v1/jobs/train first", field=field)
    return model


async def _resolve_model(
    database: DatabaseDep,
    caller: CallerDep,
    model_id: Annotated[
        str,
        Path(
            description="`mdl_…`, or `latest`: the newest one that a train job made.",
            examples=[LATEST],
            json_schema_extra={"pattern": r"^(latest|mdl_[0-9A-Z]{26})$"},
        ),
    ],
) -> str:
    if model_id != LATEST:
        return model_id
    return await anyio.to_thread.run_sync(partial(_find_latest_model, database, caller.owner))


def _find_latest_model(database: Database, owner: str) -> str:
    with database.read(owner) as session:
        return get_latest_model(session, "model_id").id


async def _resolve_dataset(
    database: DatabaseDep,
    caller: CallerDep,
    dataset_id: Annotated[
        str,
        Path(
            description="`dst_…`, or `latest`: the one that was brought last.",
            examples=[LATEST],
            json_schema_extra={"pattern": r"^(latest|dst_[0-9A-Z]{26})$"},
        ),
    ],
) -> str:
    if dataset_id != LATEST:
        return dataset_id
    return await anyio.to_thread.run_sync(partial(_find_latest_dataset, database, caller.owner))


def _find_latest_dataset(database: Database, owner: str) -> str:
    with database.read(owner) as session:
        dataset = find_newest_dataset(session)
    if dataset is None:
        raise NotFound("dataset_id: no data set was brought yet; POST one to /v1/datasets first", field="dataset_id")
    return dataset.id


def _find_dataset(
    database: DatabaseDep,
    caller: CallerDep,
    dataset_id: Annotated[
        str, Path(examples=["dst_01KAS000000000000000000000"], json_schema_extra={"pattern": r"^dst_[0-9A-Z]{26}$"})
    ],
) -> Dataset:
    with database.read(caller.owner) as session:
        return get_dataset(session, dataset_id)


ShownDatasetId = Annotated[str, Depends(_resolve_dataset)]
FoundDataset = Annotated[Dataset, Depends(_find_dataset, scope="function")]
"""Looked up before a turn to write is waited for: a name that nothing has is a 404 at once."""
ShownJobId = Annotated[str, Depends(_resolve_job)]
ModelId = Annotated[str, Depends(_resolve_model)]
ArtifactId = Annotated[
    str,
    Path(
        description="`art_…`, or the file's name.",
        examples=["log-1.txt"],
        json_schema_extra={"pattern": r"^[0-9A-Za-z][0-9A-Za-z._-]{0,119}$"},
    ),
]

IdFilter = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z_]+$", max_length=50)]
"""An id to filter by: one that nothing has leaves nothing."""

PageSize = Annotated[int, Query(ge=1, description="Rows per page; more than 200 counts as 200.")]
PageToken = Annotated[
    str | None,
    Query(
        max_length=500,
        description="`next_page_token` of the page before.",
        json_schema_extra={"pattern": PAGE_POSITION},
    ),
]

LARGEST_PAGE = 200


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[ -~]+$",
        description="Any line of ASCII of your own. The same key and body within 24 hours answer the first job again "
        "instead of starting another.",
    ),
]
