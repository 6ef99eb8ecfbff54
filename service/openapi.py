"""The OpenAPI document, and the two pages that show it from our own files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.access import is_open
from service.errors import PROBLEM_MEDIA_TYPE
from service.schemas.base import Problem
from service.schemas.jobs import ResolvedSpec, StreamedEvent
from service.schemas.predictions import PixelPicture
from service.schemas.sizes import SizeEstimateRequest
from storage.settings import Settings
from worker.jobs import POSTED_SPECS

_STATIC = Path(__file__).parent / "static"
_TITLE = "Tonok"
_DESCRIPTION = """Neural-network compression as jobs: train, prune, quantize, compress, or all of it as one study.

A POST to `/v1/jobs/<kind>` answers 202 and a job. Follow it at its `links`: long poll, events, or a stream. When it has
succeeded, its `output_model_id` names the model that it made. Every example here can be sent unchanged: begin with
`train`; the others then start from `latest`, the newest model that a train job made.

HEAD is answered wherever GET is. Every failure is `application/problem+json` (RFC 9457) and names the wrong field in
`errors[].pointer`."""
_TAGS = [
    {"name": "jobs", "description": "Submit, follow, cancel, retry and delete."},
    {"name": "artifacts", "description": "Plots, checkpoints, reports and logs of jobs."},
    {
        "name": "models",
        "description": "Trained and compressed networks: sparsity, size, layers, downloads, comparison.",
    },
    {"name": "catalog", "description": "What can be asked for."},
    {"name": "system", "description": "The service itself."},
]

_HEADS = {
    "download_artifact": ("head_artifact", "Ask about a file"),
    "download_model": ("head_model_download", "Ask about a model's file"),
}
"""Where HEAD is worth an entry of its own: its headers tell what a download would be."""

_MEANING = {
    401: "No API key, or none that is known here.",
    403: "A web page of another site sent it.",
    404: "There is no such thing, or not for this caller.",
    406: "Nothing that the `Accept` header names can be answered.",
    408: "The body stopped coming, or did not end in time.",
    409: "Its state does not allow it.",
    413: "The body is too large.",
    414: "Path and query are too long.",
    415: "The body is of a media type, or packed in a way, that is not taken.",
    416: "The range begins behind the end of the file.",
    421: "Not addressed to a name of this service.",
    422: "A field is wrong; `errors` names it.",
    429: "Too many of this owner's wait or are open, or there were too many requests in a minute.",
    503: "Not ready, stopping, or without its database; `Retry-After` says when to ask again.",
    507: "The disk is full.",
}


_OF_JOB = ("get_job", "cancel_job", "delete_job", "list_events", "stream_events", "list_metrics", "get_result",
           "list_artifacts", "retry_job")  # fmt: skip
_OF_MODEL = ("get_model", "get_sparsity", "get_size", "get_layers", "download_model", "predict")
_OF_DATASET = ("get_dataset", "get_contact_sheet", "delete_dataset")


def _lead(operations: tuple[str, ...], **parameters: str) -> dict[str, Any]:
    return {
        operation: {
            "operationId": operation,
            "parameters": {name: f"$response.{at}" for name, at in parameters.items()},
        }
        for operation in operations
    }


_JOB = _lead(_OF_JOB, job_id="body#/id")
_LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "retry_job": {"202": _JOB},
    "upload_model": {"202": _JOB},
    "upload_dataset": {"202": _JOB},
    "list_datasets": {"200": _lead(_OF_DATASET, dataset_id="body#/own/0/id")},
    "get_dataset": {"200": _lead(("get_job",), job_id="body#/job_id")},
    "cancel_job": {"200": _JOB, "202": _JOB},
    "get_job": {"200": _JOB | _lead(_OF_MODEL, model_id="body#/output_model_id")},
    "list_jobs": {"200": _lead(_OF_JOB, job_id="body#/jobs/0/id")},
    "list_models": {"200": _lead(_OF_MODEL, model_id="body#/models/0/id")},
    "get_model": {"200": _lead(("get_job",), job_id="body#/job_id")},
    "predict": {"200": _lead(("get_job", "delete_job", "retry_job"), job_id="body#/job_id")},
    "list_artifacts": {
        "200": _lead(
            ("download_artifact", "head_artifact"),
            job_id="body#/artifacts/0/job_id",
            artifact_id="body#/artifacts/0/id",
        )
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may fail with these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANING[status], "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _describe_header(name: str, description: str) -> dict[str, Any]:
    """A header that the code reads from the request itself."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


IF_NONE_MATCH = _describe_header("If-None-Match", "`ETag` of what you have: 304 where it has not changed.")


class _OwnFiles(StaticFiles):
    """Files of pages. A browser may keep them, and asks each time whether they are still the same."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def install_documents(app: FastAPI) -> None:
    """Adds `/docs`, `/redoc` and their files, and completes `/openapi.json`."""
    app.mount("/static", _OwnFiles(directory=_STATIC), name="static")

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def show_swagger() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=_TITLE,
            swagger_js_url="/static/swagger-ui/swagger-ui-bundle.js",
            swagger_css_url="/static/swagger-ui/swagger-ui.css",
            swagger_favicon_url="/static/swagger-ui/favicon-32x32.png",
            # No validator: it would send the document's address to a server elsewhere.
            swagger_ui_parameters={"validatorUrl": None, "displayRequestDuration": True, "tryItOutEnabled": True},
        )
        return _protect(page)

    @app.api_route("/redoc", methods=["GET", "HEAD"], include_in_schema=False)
    def show_redoc() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url="/openapi.json",
            title=_TITLE,
            redoc_js_url="/static/redoc/redoc.standalone.js",
            redoc_favicon_url="/static/swagger-ui/favicon-32x32.png",
            with_google_fonts=False,
        )
        return _protect(page)

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build_document(app)
        return app.openapi_schema

    app.openapi = build_document  # type: ignore[method-assign]  # the way that FastAPI's documentation names


def _protect(page: HTMLResponse) -> HTMLResponse:
    """Lets the page run the scripts of our own files and the very ones inside it, and fetch from here alone."""
    inside = re.findall(rb"<script>(.*?)</script>", bytes(page.body), flags=re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inside)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return page


def _build_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=_TITLE, version=app.version, description=_DESCRIPTION, tags=_TAGS, routes=app.routes)
    # FastAPI collects the schemas of bodies that it parses itself; ours are parsed by service/bodies.py.
    bodies: list[type[BaseModel]] = [*POSTED_SPECS.values(), SizeEstimateRequest, PixelPicture]
    _, schemas = models_json_schema(
        [
            *((body, "validation") for body in bodies),
            (Problem, "serialization"),
            (ResolvedSpec, "serialization"),
            (StreamedEvent, "serialization"),
        ],
        ref_template="#/components/schemas/{model}",
    )
    document["components"]["schemas"] |= schemas["$defs"]
    for operations in document["paths"].values():
        for operation in operations.values():
            _tidy(operation.get("parameters", []))
            # What is answered before any route, or by the database under all of them.
            everywhere = problems(406, 408, 413, 414, 503)
            operation["responses"] |= {str(status): answer for status, answer in everywhere.items()}
    _add_heads(document)
    _describe_access(document, app.state.settings)
    add_links(document)
    return document


def _add_heads(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        asked = operations.get("get", {})
        if asked.get("operationId") in _HEADS:
            name, summary = _HEADS[asked["operationId"]]
            # A range is for GET alone.
            responses = {
                status: answer for status, answer in asked["responses"].items() if status not in ("206", "416")
            }
            operations["head"] = asked | {"operationId": name, "summary": summary, "responses": responses}


def _tidy(parameters: list[dict[str, Any]]) -> None:
    """A parameter that may be left out is not one that may be null: no URL and no header can say null.

    Its example goes where Swagger looks for it.
    """
    for parameter in parameters:
        schema = parameter["schema"]
        if "examples" in schema:
            parameter["example"] = schema.pop("examples")[0]
        choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            del schema["anyOf"]
            schema |= choices[0]


def _describe_access(document: dict[str, Any], settings: Settings) -> None:
    """What service/access.py does before any route: who is let in, and how it says no."""
    document["components"]["securitySchemes"] = {
        "api_key": {"type": "http", "scheme": "bearer", "description": "A key of `python -m service.keys create`."}
    }
    by_key: list[dict[str, list[str]]] = [{"api_key": []}]
    challenge = {"WWW-Authenticate": {"description": "How to show a key.", "schema": {"type": "string"}}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if is_open(path) else by_key + ([] if settings.key_required else [{}])
            if is_open(path):
                continue
            refusals = problems(401, 429) if settings.key_required else problems(401, 403, 421)
            refusals[401]["headers"] = challenge
            answers = {str(status): answer for status, answer in refusals.items()} | operation["responses"]
            operation["responses"] = dict(sorted(answers.items()))


def add_links(document: dict[str, Any]) -> None:
    """Adds where answers lead to an OpenAPI document: for generated clients, and tools that walk through the API."""
    for operations in document["paths"].values():
        for operation in operations.values():
            name = operation["operationId"]
            found = {"202": _JOB} if name.startswith("submit_") else _LINKS.get(name, {})
            for status, links in found.items():
                operation["responses"][status]["links"] = links
