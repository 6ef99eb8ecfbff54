"""Files in: a picture to classify, a model to measure."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any, BinaryIO

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from service.access import RECHECK_S, Caller, refuse_revoked, still_holds
from service.bodies import parse_body
from service.dependencies import (
    LATEST,
    CallerDep,
    DatabaseDep,
    FilesDep,
    GroupCommitDep,
    IdempotencyKey,
    ModelId,
    SettingsDep,
    check_room,
    get_latest_model,
)
from service.errors import RequestRefused, get_status
from service.openapi import problems
from service.routes.submissions import ACCEPTED_HEADERS, accept_job
from service.routes.upload_jobs import submit_upload
from service.schemas.jobs import JobAnswer
from service.schemas.predictions import LONGEST_SIDE, MOST_PIXELS, PixelPicture, Prediction
from service.uploads import MAX_PICTURE_BYTES, Upload, pack, receive
from storage.database import Database
from storage.datasets import get_dataset
from storage.errors import InvalidModel, NotFound, TooMuchMemory
from storage.jobs import get_job
from storage.models import get_model
from storage.settings import Settings
from storage.tables import TERMINAL, Job, JobStatus
from storage.workers import list_live_workers
from worker.brought_files import GivenFacts, check_model_file
from worker.checkpoint_facts import MAX_SIDE
from worker.dataset_refs import DatasetRef
from worker.job_spec import describe_excess
from worker.jobs.import_model import ImportSpec
from worker.jobs.predict import PredictSpec
from worker.memory_estimate import Part, estimate_import
from worker.names import NAME

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(check_room)])

_POLL_INTERVAL_S = 0.05
_PICTURES = {"image/png": "picture.png", "image/jpeg": "picture.jpg"}
_MODELS = {"application/octet-stream": "model.bin"}
_NUMBER = r"-?[0-9]{1,6}(\.[0-9]{1,20})?(e-?[0-9]{1,2})?"
_PER_CHANNEL = rf"^{_NUMBER}(,{_NUMBER}){{0,2}}$"
_NOTHING_TOLD = GivenFacts()
_BINARY = {"schema": {"type": "string", "format": "binary", "minLength": 1}}

_parse_pixels = parse_body(PixelPicture, most_values=MOST_PIXELS + 2 * LONGEST_SIDE)


async def _receive_picture(request: Request, settings: SettingsDep) -> AsyncIterator[Upload]:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json":
        yield pack(_draw(await _parse_pixels(request)), "picture.pgm", "image/x-portable-graymap")
        return
    names = {"application/json": "", **_PICTURES}
    async with receive(request, min(MAX_PICTURE_BYTES, settings.max_upload_bytes), names) as upload:
        yield upload


def _draw(picture: PixelPicture) -> bytes:
    """The pixels as a PGM file, which is a line of text and the bytes."""
    width = max(map(len, picture.pixels))
    rows = b"".join(bytes(row).ljust(width, b"\0") for row in picture.pixels)
    return f"P5 {width} {len(picture.pixels)} 255\n".encode() + rows


@dataclass(frozen=True)
class _ModelUpload:
    """A model's file whose head makes sense, and what was told beside it."""

    upload: Upload
    given: GivenFacts


def _read_given(
    dataset: Annotated[
        DatasetRef | None,
        Query(
            description="What to measure it on; by default what it was trained on, or what has its classes and shape."
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        Query(
            max_length=60,
            description="Of a plain state dict: one of ours, or torchvision's, such as `torchvision:resnet18`.",
        ),
    ] = None,
    class_names: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=4096,
            description="Of an ONNX file or a plain state dict, in the order of its outputs, with commas between; by "
            "default the data set's.",
        ),
    ] = None,
    mean: Annotated[
        str | None,
        Query(
            pattern=_PER_CHANNEL,
            description="Of the same: a pixel p enters as (p / 255 - mean) / std. One number, or one for each channel "
            "with commas between, such as `0.491,0.482,0.447`; by default the data set's.",
        ),
    ] = None,
    std: Annotated[str | None, Query(pattern=_PER_CHANNEL, description="See `mean`.")] = None,
    measure: Annotated[
        bool,
        Query(
            description="`false`: no data set here has its classes or pictures. It is stored unmeasured, to be "
            "fine-tuned to a data set (`train` with `initial_model_id`) or asked; an ONNX file or a plain state dict "
            "then needs `mean` and `std`."
        ),
    ] = True,
    input_size: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_SIDE,
            description="Of a plain state dict with `measure=false`: side of the square pictures that it reads; by "
            "default 224 for torchvision's.",
        ),
    ] = None,
) -> GivenFacts:
    return GivenFacts(
        dataset=dataset,
        architecture=architecture,
        class_names=None if class_names is None else tuple(name.strip() for name in class_names.split(",")),
        mean=None if mean is None else tuple(map(float, mean.split(","))),
        std=None if std is None else tuple(map(float, std.split(","))),
        measure=measure,
        input_size=input_size,
    )


async def _receive_model(
    request: Request,
    settings: SettingsDep,
    database: DatabaseDep,
    caller: CallerDep,
    given: Annotated[GivenFacts, Depends(_read_given)],
) -> AsyncIterator[_ModelUpload]:
    async with receive(request, settings.max_upload_bytes, _MODELS) as upload:
        check = partial(_check_model, upload.stream, given, database, caller.owner, settings.resolved_max_job_bytes)
        named = await anyio.to_thread.run_sync(check)
        # In the job's spec: while it waits, nobody deletes a data set that its file alone names.
        yield _ModelUpload(upload, given if named is None else replace(given, dataset=named))


def _check_model(
    stream: BinaryIO, given: GivenFacts, database: Database, owner: str, max_job_bytes: int | None
) -> str | None:
    """The data set that somebody brought, where it is to be measured on one, whether its file names it or the query.

    Raises RequestRefused, before there is a job that could only fail.
    """
    named = None

    def describe(dataset_id: str) -> Mapping[str, Any]:
        nonlocal named
        named = dataset_id
        try:
            with database.read(owner) as session:
                return get_dataset(session, dataset_id).summary
        except NotFound as error:
            raise InvalidModel(f"dataset: {error.detail}", field="dataset") from None

    try:
        outline = check_model_file(stream, given, describe)
    except InvalidModel as error:
        raise RequestRefused(422, error.code, error.detail, pointer=error.field or "") from None
    if outline.network is not None:
        estimate = estimate_import(outline.network, outline.pictures)
        if (excess := describe_excess(estimate, max_job_bytes)) is not None:
            pointer = "dataset" if estimate.dominant is Part.PICTURES else ""
            raise RequestRefused(get_status(TooMuchMemory), TooMuchMemory.code, excess, pointer=pointer)
    return named


def _find_model(database: Database, owner: str, model_id: str) -> str:
    with database.read(owner) as session:
        return get_latest_model(session, "compare_to").id if model_id == LATEST else get_model(session, model_id).id


def _check_worker(database: Database, settings: Settings) -> None:
    with database.read() as session:
        if not list_live_workers(session, settings.lease_ttl_s):
            raise RequestRefused(503, "no_worker", "No worker is there to answer; GET /readyz tells when one is.")


def _read_job(database: Database, owner: str, job_id: str) -> Job:
    with database.read(owner) as session:
        return get_job(session, job_id)


@router.post(
    "/{model_id}/predict",
    operation_id="predict",
    summary="Classify a picture",
    response_model=Prediction,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/PixelPicture"},
                    "example": PixelPicture.model_json_schema()["examples"][0],
                },
                **dict.fromkeys(_PICTURES, _BINARY),
            },
        }
    },
    responses={
        202: {
            "description": "Not answered within `wait_s`: the job goes on, and its result is the prediction.",
            "model": JobAnswer,
            "headers": ACCEPTED_HEADERS,
        },
        **problems(404, 408, 409, 413, 415, 422, 429, 503, 507),
    },
)
async def predict(
    request: Request,
    database: DatabaseDep,
    files: FilesDep,
    settings: SettingsDep,
    caller: CallerDep,
    group_commit: GroupCommitDep,
    model_id: ModelId,
    upload: Annotated[Upload, Depends(_receive_picture)],
    compare_to: Annotated[
        str | None,
        Query(
            max_length=50,
            description="A second model that is asked the same.",
            examples=[LATEST],
            json_schema_extra={"pattern": r"^(latest|mdl_[0-9A-Z]{26})$"},
        ),
    ] = None,
    top_k: Annotated[int, Query(ge=1, le=100, description="Classes to name, the most probable first.")] = 5,
    invert: Annotated[
        bool, Query(description="Swap light and dark: FashionMNIST and digits are light on a dark ground.")
    ] = False,
    wait_s: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the answer.")] = 20,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A JPEG, PNG, WebP, BMP, GIF or PPM file, or its pixels as JSON.

    It is a small job of its own that waits for no other, and the answer says all that was done to the picture before
    the network saw it.
    """
    checked_at = time.monotonic()
    deadline = checked_at + wait_s
    resolve = partial(_resolve, database, settings, caller, model_id, compare_to, top_k, invert)
    spec = await anyio.to_thread.run_sync(resolve)
    job, is_new = await submit_upload(group_commit, database, files, settings, caller, spec, upload, idempotency_key)
    while job.status not in TERMINAL and time.monotonic() < deadline:
        if await request.is_disconnected():
            break
        if time.monotonic() - checked_at >= RECHECK_S:
            if not await still_holds(database, caller):
                raise refuse_revoked()
            checked_at = time.monotonic()
        await anyio.sleep(_POLL_INTERVAL_S)
        job = await anyio.to_thread.run_sync(partial(_read_job, database, caller.owner, job.id))
    if job.status not in TERMINAL:
        return accept_job(job, is_new)
    if job.result is None:
        raise _explain(job)
    headers = {} if is_new else {"Idempotency-Replayed": "true"}
    answer = Prediction.model_validate({**job.result, "job_id": job.id, "warnings": job.warnings}, extra="ignore")
    return JSONResponse(answer.model_dump(mode="json"), headers=headers)


def _resolve(
    database: Database,
    settings: Settings,
    caller: Caller,
    model_id: str,
    compare_to: str | None,
    top_k: int,
    invert: bool,
) -> PredictSpec:
    find_model = partial(_find_model, database, caller.owner)
    wanted: dict[str, Any] = {"model_id": find_model(model_id), "top_k": top_k, "invert": invert}
    if compare_to is not None:
        try:
            wanted["compare_to"] = find_model(compare_to)
        except NotFound as error:
            raise NotFound(f"compare_to: {error.detail.removeprefix('compare_to: ')}", field="compare_to") from None
    _check_worker(database, settings)
    return PredictSpec(**wanted)


def _explain(job: Job) -> RequestRefused:
    """Why there is no prediction: the picture's fault is the client's, all else is ours."""
    error = job.error or {"code": str(job.status), "detail": "the prediction was cancelled"}
    if error["code"] == "invalid_picture":
        return RequestRefused(422, "invalid_picture", str(error["detail"]), pointer="")
    if job.status is JobStatus.CANCELLED or error["code"] == "invalid_model":
        return RequestRefused(409, error["code"], str(error["detail"]))
    return RequestRefused(503, "prediction_failed", f"There is no prediction; job {job.id} says why.")


@router.post(
    "",
    operation_id="upload_model",
    summary="Bring a model of one's own",
    status_code=202,
    response_model=JobAnswer,
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(_MODELS, _BINARY)}},
    responses={
        202: {"description": "Queued.", "headers": ACCEPTED_HEADERS},
        **problems(408, 413, 415, 422, 429, 507),
    },
)
async def upload_model(
    group_commit: GroupCommitDep,
    database: DatabaseDep,
    files: FilesDep,
    settings: SettingsDep,
    caller: CallerDep,
    model: Annotated[_ModelUpload, Depends(_receive_model)],
    name: Annotated[str | None, Query(pattern=NAME, max_length=100, description="What people call the model.")] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A `.tonok` file, a safetensors checkpoint with Tonok's metadata, a plain state dict as safetensors with its
    `architecture`, or an ONNX file; never a pickle.

    What its head tells is answered at once: 422 with the code `invalid_model`, and `errors` names what is wrong of what
    it says of itself: of an ONNX file the operation, of a state dict the tensor. Then a job reads it, measures it like
    any other model and stores it anew, with its own normalisation and its own class names in their order; what its
    weights reveal ends as the job's `invalid_model`. Where no data set here fits it, `measure=false` stores it
    unmeasured: `dataset` and `evaluation` of the model are null, `not_measured` says why, and a training can begin with
    it.
    """
    told = {key: value for key, value in asdict(model.given).items() if value != getattr(_NOTHING_TOLD, key)}
    spec = ImportSpec(**told, **({} if name is None else {"name": name}))
    upload = model.upload
    return accept_job(
        *await submit_upload(group_commit, database, files, settings, caller, spec, upload, idempotency_key)
    )
