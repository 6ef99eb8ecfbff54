"""Bytes of the file store over HTTP: their SHA-256 is checked, then Starlette sends them, or a range."""

from __future__ import annotations

import re
from urllib.parse import quote

from fastapi import Request
from starlette.responses import FileResponse, Response

from service.dependencies import LATEST
from service.errors import RequestRefused
from service.middleware import is_head
from storage.files import FileStore
from storage.tables import Artifact

_CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def is_known(request: Request, etag: str) -> bool:
    """Whether the client's If-None-Match names `etag` (quoted): it holds these bytes already."""
    named = ",".join(request.headers.getlist("if-none-match"))
    known = [tag.strip().removeprefix("W/") for tag in named.split(",")]
    return etag in known or "*" in known


def build_download(request: Request, files: FileStore, artifact: Artifact) -> Response:
    """The answer to GET or HEAD of an artifact: 200, 206 or 304. Raises NotFound, CorruptFile, RequestRefused (416)."""
    etag = f'"{artifact.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _describe_caching(request),
        "Accept-Ranges": "bytes",
        "Content-Disposition": _name_attachment(artifact.name),
    }
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    _check_range(request, etag, artifact.num_bytes)
    if is_head(request):
        request.scope["method"] = "HEAD"  # as it was asked: the file is neither read nor sent
        path = files.find(artifact.sha256)
    else:
        path = files.verify(artifact.sha256)
    answer = FileResponse(path, headers=headers, media_type=artifact.media_type)
    answer.chunk_size = _CHUNK_BYTES
    return answer


def _check_range(request: Request, etag: str, num_bytes: int) -> None:
    """Leaves one well-formed range to FileResponse; anything else counts as none, as RFC 9110 allows.

    So does any of an empty file, and any of what may be another file by now (If-Range). Raises RequestRefused (416)
    when the range begins behind the end.
    """
    is_same_file = request.headers.get("if-range", etag) == etag  # by its hash alone: a date says too little
    match = _RANGE.fullmatch(request.headers.get("range", "").strip()) if num_bytes and is_same_file else None
    first, last = match.groups() if match else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    elif (int(first) if first else num_bytes - int(last)) >= num_bytes:
        raise RequestRefused(
            416,
            "range_not_satisfiable",
            f"The file has {num_bytes} bytes.",
            pointer="Range",
            headers={"Content-Range": f"bytes */{num_bytes}"},
        )


def _describe_caching(request: Request) -> str:
    """An address with an id names the content, which cannot change; what is `latest` changes with the next job."""
    if LATEST in request.path_params.values():
        return "private, no-cache"
    return "private, max-age=31536000, immutable"


def _name_attachment(name: str) -> str:
    """The name for clients of today, and plain ASCII in its place for those that know no other."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".") or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
