"""What routes are given.

Yielding dependencies end before the answer leaves (`scope="function"`): a commit that fails is a failure to the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from sqlmodel import Session

from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings


def get_settings(request: Request) -> Settings:
    """The settings that the app was made with."""
    settings: Settings = request.app.state.settings
    return settings


def get_database(request: Request) -> Database:
    """The app's database."""
    database: Database = request.app.state.database
    return database


def get_files(request: Request) -> FileStore:
    """The app's file store."""
    files: FileStore = request.app.state.files
    return files


SettingsDep = Annotated[Settings, Depends(get_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]
FilesDep = Annotated[FileStore, Depends(get_files)]


def _read_session(database: DatabaseDep) -> Iterator[Session]:
    with database.read() as session:
        yield session


def _write_session(database: DatabaseDep) -> Iterator[Session]:
    with database.transaction() as session:
        yield session


ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]

JobId = Annotated[str, Path(description="`job_…`", examples=["job_01KAS0000000000000000000000"])]
ModelId = Annotated[str, Path(description="`mdl_…`", examples=["mdl_01KAS0000000000000000000000"])]
ArtifactId = Annotated[str, Path(description="`art_…`", examples=["art_01KAS0000000000000000000000"])]

PageSize = Annotated[int, Query(ge=1, description="Rows per page; more than 200 counts as 200.")]
PageToken = Annotated[str | None, Query(max_length=500, description="`next_page_token` of the page before.")]

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
