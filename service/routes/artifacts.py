"""Files of jobs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.dependencies import ArtifactId, FilesDep, ReadSession, ShownJobId
from service.downloads import build_download
from service.openapi import IF_NONE_MATCH, problems
from service.schemas.jobs import ArtifactList, build_artifact
from storage.artifacts import get_artifact_of_job, list_artifacts
from storage.jobs import get_job

router = APIRouter(prefix="/v1/jobs/{job_id}/artifacts", tags=["artifacts"])

# The second for generators of clients, which read no answer of any type as bytes; Swagger asks for the first.
_TYPES = ("*/*", "application/octet-stream")
_BYTES = {"content": {key: {"schema": {"type": "string", "format": "binary"}} for key in _TYPES}}
_HEADERS = {name: {"schema": {"type": "string"}} for name in ("ETag", "Accept-Ranges", "Content-Disposition")}
DOWNLOAD_PARAMETERS = {"parameters": [IF_NONE_MATCH]}
DOWNLOAD_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes, as an attachment; `ETag` is their SHA-256.", **_BYTES, "headers": _HEADERS},
    206: {
        "description": "The range asked for.",
        **_BYTES,
        "headers": _HEADERS | {"Content-Range": {"schema": {"type": "string"}}},
    },
    304: {"description": "As `If-None-Match` knows it."},
    **problems(404, 416, 422),
}


@router.get("", operation_id="list_artifacts", summary="List a job's files", responses=problems(404, 422))
def get_artifact_list(job_id: ShownJobId, session: ReadSession) -> ArtifactList:
    """Plots, checkpoints, reports and the log."""
    get_job(session, job_id)
    return ArtifactList(artifacts=[build_artifact(artifact) for artifact in list_artifacts(session, job_id)])


@router.get(
    "/{artifact_id}",
    operation_id="download_artifact",
    summary="Download a file",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    openapi_extra=DOWNLOAD_PARAMETERS,
)
def download_artifact(
    request: Request, job_id: ShownJobId, artifact_id: ArtifactId, session: ReadSession, files: FilesDep
) -> Response:
    """Range, `If-Range`, `If-None-Match` and HEAD are understood."""
    return build_download(request, files, get_artifact_of_job(session, job_id, artifact_id))
