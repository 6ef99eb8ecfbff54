"""Trained and compressed networks."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from sqlmodel import Session
from starlette.responses import Response

from service.comparison import (
    Compared,
    align_layers,
    compute_drop_difference,
    describe_difference,
    find_drop,
    find_gaps,
    find_size_gap,
    find_times,
    get_accuracy,
    get_layer_sparsity,
    get_ledger,
    get_problems,
    get_stored_size,
    group_by_pictures,
)
from service.dependencies import (
    LARGEST_PAGE,
    LATEST,
    FilesDep,
    IdFilter,
    ModelId,
    PageSize,
    PageToken,
    ReadSession,
    get_latest_model,
)
from service.downloads import build_download
from service.openapi import problems
from service.routes.artifacts import DOWNLOAD_PARAMETERS, DOWNLOAD_RESPONSES
from service.schemas.models import (
    ComparedLayer,
    ComparedModel,
    Comparison,
    ModelDetail,
    ModelLayers,
    ModelList,
    ModelSize,
    ModelSparsity,
    NotCompared,
    ParetoFront,
    ParetoPoint,
    build_model,
    build_model_detail,
)
from storage.artifacts import get_artifact
from storage.errors import NotFound
from storage.exports import list_exports
from storage.models import get_lineage, get_model, list_models
from storage.tables import Model
from worker.catalog import DatasetName
from worker.model_summary import DropInterval, read_summary
from worker.pareto import find_front

router = APIRouter(prefix="/v1", tags=["models"])

_PREFERRED_FORMATS = ("compressed", "checkpoint")
_MOST_POINTS = 1000
_IDS = re.compile(r"^[0-9A-Za-z_]+(,[0-9A-Za-z_]+){1,7}$")


class Split(StrEnum):
    """The part of a data set that an accuracy was counted on."""

    VALIDATION = "validation"
    TEST = "test"


@router.get("/models", operation_id="list_models", summary="List models, newest first", responses=problems(422))
def get_model_list(
    session: ReadSession,
    job_id: Annotated[IdFilter, Query(description="Models that this job made.")] = None,
    parent_model_id: Annotated[IdFilter, Query(description="Models made from this one.")] = None,
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> ModelList:
    """Every trained or compressed model."""
    page = list_models(
        session,
        job_id=job_id,
        parent_model_id=parent_model_id,
        page_size=min(page_size, LARGEST_PAGE),
        page_token=page_token,
    )
    return ModelList(models=[build_model(model) for model in page.items], next_page_token=page.next_page_token)


@router.get("/models/{model_id}", operation_id="get_model", summary="Get a model", responses=problems(404, 422))
def get_one_model(model_id: ModelId, session: ReadSession) -> ModelDetail:
    """The model with its numbers and its lineage."""
    model, *ancestors = get_lineage(session, model_id)
    return build_model_detail(model, [ancestor.id for ancestor in ancestors], list_exports(session, model_id))


@router.get(
    "/models/{model_id}/sparsity",
    operation_id="get_sparsity",
    summary="Get zeros per layer",
    responses=problems(404, 422),
)
def get_sparsity(model_id: ModelId, session: ReadSession) -> ModelSparsity:
    """Counted, then divided; per layer and in total."""
    sparsity = get_model(session, model_id).summary.get("sparsity") or {}
    return ModelSparsity(model_id=model_id, total=sparsity.get("total"), layers=sparsity.get("layers") or [])


@router.get(
    "/models/{model_id}/size", operation_id="get_size", summary="Get the size ledger", responses=problems(404, 422)
)
def get_size(model_id: ModelId, session: ReadSession) -> ModelSize:
    """Bytes and KB by each measure, and the ratio to float32."""
    size = get_model(session, model_id).summary.get("size") or {}
    return ModelSize(model_id=model_id, entries=size.get("entries") or [])


@router.get(
    "/models/{model_id}/layers", operation_id="get_layers", summary="Get the layers", responses=problems(404, 422)
)
def get_layers(model_id: ModelId, session: ReadSession) -> ModelLayers:
    """What each layer is, costs and allows."""
    return ModelLayers(model_id=model_id, layers=get_model(session, model_id).summary.get("layers") or [])


def _find_file(session: Session, model: Model, wanted: str | None) -> str:
    """The id of the artifact. Raises NotFound."""
    if wanted is None:
        wanted = next((name for name in (*_PREFERRED_FORMATS, *model.files) if name in model.files), "")
    files = model.files if wanted in model.files else {**list_exports(session, model.id), **model.files}
    if wanted not in files:
        raise NotFound(f"format: this model has {', '.join(files) or 'no file'}", field="format")
    return files[wanted]


@router.get(
    "/models/{model_id}/download",
    operation_id="download_model",
    summary="Download a model",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    openapi_extra=DOWNLOAD_PARAMETERS,
)
def download_model(
    request: Request,
    model_id: ModelId,
    session: ReadSession,
    files: FilesDep,
    file_format: Annotated[
        str | None,
        Query(
            alias="format",
            pattern=r"^[0-9A-Za-z_.-]+$",
            max_length=40,
            description="A key of the model's `files`, such as `c` once it was exported; by default its smallest kind.",
        ),
    ] = None,
) -> Response:
    """The compressed file where there is one, else the checkpoint, or the format asked for."""
    model = get_model(session, model_id)
    artifact = get_artifact(session, _find_file(session, model, file_format))
    return build_download(request, files, artifact)


def _check_ids(models: str) -> str:
    if _IDS.fullmatch(models) is None:
        raise ValueError("name two to eight models, with commas between and no spaces")
    return models


@router.get(
    "/compare", operation_id="compare_models", summary="Compare two to eight models", responses=problems(404, 422)
)
def compare_models(
    session: ReadSession,
    models: Annotated[
        str,
        AfterValidator(_check_ids),
        Query(
            max_length=400,
            json_schema_extra={"pattern": _IDS.pattern},
            description="Two to eight ids, or `latest`, with commas between; the first is the reference.",
            examples=["latest,latest"],
        ),
    ],
) -> Comparison:
    """Accuracy, drop, sparsity per layer, sizes and latency side by side, and what they say in words.

    What cannot be compared (networks of other data sets or of none, accuracies on other splits, times taken apart) is
    null, and `not_compared` says why.
    """
    model_ids = models.split(",")
    rows = [_get_named_model(session, model_id) for model_id in model_ids]
    columns = [_read(row) for row in rows]
    layers = align_layers([get_layer_sparsity(column.summary) for column in columns])
    return Comparison(
        models=[_compare(row, column, columns[0]) for row, column in zip(rows, columns, strict=True)],
        layers=[ComparedLayer(name=name, sparsity=values) for name, values in layers.items()],
        verdict=[describe_difference(column, columns[0]) for column in columns[1:]],
    )


def _read(model: Model) -> Compared:
    return Compared(model.id, model.name, model.dataset, read_summary(model.summary))


def _get_named_model(session: Session, model_id: str) -> Model:
    if model_id == LATEST:
        return get_latest_model(session, "models")
    try:
        return get_model(session, model_id)
    except NotFound as error:
        raise NotFound(f"models: {error.detail}", field="models") from None


def _compare(model: Model, column: Compared, reference: Compared) -> ComparedModel:
    summary = column.summary
    size, reference_size = get_stored_size(summary), get_stored_size(reference.summary)
    times = find_times(column, reference)
    has_ratio = size is not None and reference_size is not None and find_size_gap(column, reference) is None
    return ComparedModel(
        model_id=model.id,
        name=model.name,
        dataset=model.dataset,
        architecture=model.architecture,
        accuracy={split: get_accuracy(summary, split) for split in Split},
        accuracy_drop={split: find_drop(column, reference, split) for split in Split},
        accuracy_drop_interval={split: _describe_drop(column, reference, split) for split in Split},
        health=model.summary.get("health"),
        sparsity=None if summary.sparsity is None else summary.sparsity.total,
        size_bytes=get_ledger(summary),
        size_ratio=reference_size[1] / size[1] if has_ratio and size and reference_size else None,
        macs=summary.macs,
        latency=model.summary.get("latency"),
        speedup=None if times is None else times[1] / times[0],
        not_compared=[NotCompared(field=field, reason=gap) for field, gap in find_gaps(column, reference).items()],
    )


def _describe_drop(column: Compared, reference: Compared, split: Split) -> DropInterval | None:
    difference = compute_drop_difference(column, reference, split)
    return None if difference is None else DropInterval.model_validate(difference.to_json())


@router.get(
    "/pareto", operation_id="get_pareto", summary="Get the size–accuracy plane and its front", responses=problems(422)
)
def get_pareto(
    session: ReadSession,
    split: Annotated[
        Split, Query(description="Choose by `validation`; `test` is for the report, not for choosing.")
    ] = Split.VALIDATION,
    dataset: Annotated[DatasetName | None, Query(description="Only models of this data set.")] = None,
) -> ParetoFront:
    """A point for each of the newest 1000 models whose size and accuracy are known; a front for each `group`.

    Models of other data sets, or measured on another validation split, have a front of their own. A model that is not
    sound, such as one that answers the same class to every picture, has a point and is on none. What was imported
    unmeasured has no point.
    """
    models = [model for model in _list_newest_models(session) if dataset in (None, model.dataset)]
    columns = [_read(model) for model in models]
    points = []
    for model, group in zip(columns, group_by_pictures(columns, split), strict=True):
        size, accuracy = get_stored_size(model.summary), get_accuracy(model.summary, split)
        if size is None or accuracy is None or model.dataset is None:
            continue
        points.append(
            ParetoPoint(
                model_id=model.id,
                name=model.name,
                dataset=model.dataset,
                measure=size[0],
                bytes=size[1],
                kb=size[1] / 1024,
                accuracy=accuracy,
                group=group,
                problems=get_problems(model.summary),
                on_front=False,
            )
        )
    for group in {point.group for point in points}:
        rivals = [point for point in points if point.group == group and not point.problems]
        front = find_front([(point.bytes, point.accuracy) for point in rivals])
        for point, on_front in zip(rivals, front, strict=True):
            point.on_front = on_front
    return ParetoFront(split=split, points=sorted(points, key=lambda point: (point.bytes, -point.accuracy)))


def _list_newest_models(session: Session) -> list[Model]:
    models: list[Model] = []
    token: str | None = None
    while len(models) < _MOST_POINTS:
        page = list_models(session, page_size=LARGEST_PAGE, page_token=token)
        models += page.items
        token = page.next_page_token
        if token is None:
            break
    return models
