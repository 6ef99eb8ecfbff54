"""The page at `/`: our own files, which talk to the public API, under the strictest policy that they can live with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.negotiation import is_acceptable

router = APIRouter()

_PAGE = Path(__file__).parent / "static" / "dashboard" / "index.html"
# No script and no style inside the page, and no way from text to HTML (trusted types): what users write can only be
# shown. `blob:` is for pictures that were fetched with a key.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


@cache
def _read_page() -> bytes:
    return _PAGE.read_bytes()


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def show_dashboard(request: Request) -> Response:
    """The dashboard for who reads pages; for programs, what describes the API."""
    headers = {"Vary": "Accept"}
    if not is_acceptable(", ".join(request.headers.getlist("accept")), ["text/html"]):
        return RedirectResponse("/openapi.json", headers=headers)
    return HTMLResponse(_read_page(), headers=headers | {"Content-Security-Policy": _POLICY})
