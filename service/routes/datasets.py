"""Pictures of one's own: a file comes in, a job decodes it, and other jobs name what it has become."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from service.dependencies import (
    LARGEST_PAGE,
    CallerDep,
    DatabaseDep,
    FilesDep,
    FoundDataset,
    GroupCommitDep,
    IdempotencyKey,
    PageSize,
    PageToken,
    ReadSession,
    SettingsDep,
    ShownDatasetId,
    WriterTurn,
    check_room,
)
from service.downloads import build_download
from service.errors import RequestRefused
from service.openapi import problems
from service.routes.artifacts import DOWNLOAD_PARAMETERS, DOWNLOAD_RESPONSES
from service.routes.catalog import list_choices
from service.routes.submissions import ACCEPTED_HEADERS, accept_job
from service.routes.upload_jobs import submit_upload
from service.schemas.datasets import DatasetAnswer, DatasetList, build_dataset
from service.schemas.jobs import JobAnswer
from service.uploads import Upload, receive
from storage.artifacts import get_artifact
from storage.datasets import get_dataset, list_datasets
from storage.errors import InvalidDataset
from storage.jobs import delete_job
from worker import catalog
from worker.dataset_files.heads import check_dataset_head
from worker.dataset_files.options import DatasetOptions
from worker.jobs.import_dataset import ImportDatasetSpec
from worker.names import NAME

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_FILES = dict.fromkeys(("application/zip", "application/octet-stream"), "pictures.bin")
_BINARY = {"schema": {"type": "string", "format": "binary", "minLength": 1}}


class UploadOptions(DatasetOptions):
    """The query parameters of an upload."""

    name: str | None = Field(None, pattern=NAME, max_length=100, description="What people call the data set.")


async def _receive_dataset(request: Request, settings: SettingsDep) -> AsyncIterator[Upload]:
    async with receive(request, settings.max_dataset_bytes, _FILES) as upload:
        try:
            await anyio.to_thread.run_sync(check_dataset_head, upload.stream)
        except InvalidDataset as error:
            raise RequestRefused(422, error.code, error.detail, pointer="") from None
        yield upload


@router.post(
    "",
    operation_id="upload_dataset",
    summary="Bring pictures of one's own",
    status_code=202,
    response_model=JobAnswer,
    dependencies=[Depends(check_room)],
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(_FILES, _BINARY)}},
    responses={
        202: {"description": "Queued.", "headers": ACCEPTED_HEADERS},
        **problems(408, 413, 415, 422, 429, 507),
    },
)
async def upload_dataset(
    group_commit: GroupCommitDep,
    database: DatabaseDep,
    files: FilesDep,
    settings: SettingsDep,
    caller: CallerDep,
    upload: Annotated[Upload, Depends(_receive_dataset)],
    options: Annotated[UploadOptions, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A zip of a folder for each class, with or without `train` and `test` above; a zip of pictures with a CSV file of
    their labels; NPZ; a zip of IDX files; Parquet as Hugging Face writes it.

    A job decodes the pictures once, counts them, and says what it refused; its result names the data set, which then
    may be a spec's `dataset`.
    """
    asked = options.model_dump(exclude_unset=True)
    named = {"name": asked.pop("name")} if "name" in asked else {}
    spec = ImportDatasetSpec(options=DatasetOptions(**asked), **named)
    return accept_job(
        *await submit_upload(group_commit, database, files, settings, caller, spec, upload, idempotency_key)
    )


@router.get("", operation_id="list_datasets", summary="List data sets", responses=problems(422))
def get_datasets(session: ReadSession, page_size: PageSize = 50, page_token: PageToken = None) -> DatasetList:
    """The names that a train job may use, and the data sets that were brought."""
    page = list_datasets(session, page_size=min(page_size, LARGEST_PAGE), page_token=page_token)
    return DatasetList(
        datasets=list_choices(catalog.DatasetName, "datasets"),
        own=[build_dataset(row) for row in page.items],
        next_page_token=page.next_page_token,
    )


@router.get("/{dataset_id}", operation_id="get_dataset", summary="Get a data set", responses=problems(404, 422))
def get_one_dataset(dataset_id: ShownDatasetId, session: ReadSession) -> DatasetAnswer:
    """Classes, counts by split, statistics of the channels, and what was refused."""
    return build_dataset(get_dataset(session, dataset_id))


@router.get(
    "/{dataset_id}/contact-sheet",
    operation_id="get_contact_sheet",
    summary="Download a data set's contact sheet",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    openapi_extra=DOWNLOAD_PARAMETERS,
)
def get_contact_sheet(request: Request, dataset_id: ShownDatasetId, session: ReadSession, files: FilesDep) -> Response:
    """A PNG with some training pictures of each class."""
    dataset = get_dataset(session, dataset_id)
    return build_download(request, files, get_artifact(session, dataset.files["contact_sheet"]))


@router.delete(
    "/{dataset_id}",
    operation_id="delete_dataset",
    summary="Delete a data set",
    status_code=204,
    responses=problems(404, 409, 422),
)
def delete_dataset(
    dataset: FoundDataset, database: DatabaseDep, files: FilesDep, caller: CallerDep, _turn: WriterTurn
) -> None:
    """With the job that read it and all its files, unless a model was made on it or a waiting job names it."""
    delete_job(database, files, dataset.job_id, caller.owner)
