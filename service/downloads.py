"""Bytes of the file store over HTTP: Range, ETag, 304, HEAD. The bytes are checked against their SHA-256 first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from service.dependencies import LATEST
from service.errors import RequestRefused
from service.heads import is_head
from storage.files import FileStore
from storage.tables import Artifact

_CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def is_known(request: Request, etag: str) -> bool:
    """Whether the client's If-None-Match names `etag` (quoted): it holds these bytes already."""
    named = ",".join(request.headers.getlist("if-none-match"))
    known = [tag.strip().removeprefix("W/") for tag in named.split(",")]
    return etag in known or "*" in known


def parse_range(header: str | None, num_bytes: int) -> tuple[int, int] | None:
    """First byte and one past the last of a single `bytes=` range, or None for all of the file.

    Anything but one well-formed range counts as none, as RFC 9110 allows; so does any of an empty file. Raises
    RequestRefused (416) when the range begins behind the end.
    """
    match = _RANGE.fullmatch(header.strip()) if header and num_bytes else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, num_bytes - int(last)), num_bytes
    else:
        start, stop = int(first), min(num_bytes, int(last) + 1) if last else num_bytes
        if last and int(last) < int(first):
            return None
    if start >= num_bytes:
        raise RequestRefused(
            416,
            "range_not_satisfiable",
            f"The file has {num_bytes} bytes.",
            pointer="Range",
            headers={"Content-Range": f"bytes */{num_bytes}"},
        )
    return start, stop


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
    start, stop, status = 0, artifact.num_bytes, 200
    # If-Range with another tag means: these are not the bytes I have begun with, send them all.
    if request.headers.get("if-range", etag) == etag:
        part = parse_range(request.headers.get("range"), artifact.num_bytes)
        if part is not None:
            start, stop = part
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.num_bytes}"
    headers["Content-Length"] = str(stop - start)
    if is_head(request):
        return Response(status_code=status, headers=headers, media_type=artifact.media_type)
    # Opened before the headers leave, so that a corrupt file is a clean 500 and a deletion cannot cut the stream.
    file = files.open_verified(artifact.sha256)
    file.seek(start)
    return StreamingResponse(
        _read_chunks(file, stop - start), status_code=status, headers=headers, media_type=artifact.media_type
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


def _read_chunks(file: BinaryIO, num_bytes: int) -> Iterator[bytes]:
    with file:
        while num_bytes > 0:
            chunk = file.read(min(_CHUNK_BYTES, num_bytes))
            if not chunk:
                return
            num_bytes -= len(chunk)
            yield chunk
