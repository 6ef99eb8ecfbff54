"""Where an answer leads, as OpenAPI links: for generated clients, and for tools that walk through the API."""

from __future__ import annotations

from typing import Any

_OF_JOB = ("get_job", "cancel_job", "delete_job", "list_events", "stream_events", "list_metrics", "get_result",
           "list_artifacts", "retry_job")  # fmt: skip
_OF_MODEL = ("get_model", "get_sparsity", "get_size", "get_layers", "download_model", "predict")


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


def add_links(document: dict[str, Any]) -> None:
    """Adds them to the operations of an OpenAPI document."""
    for operations in document["paths"].values():
        for operation in operations.values():
            name = operation["operationId"]
            found = {"202": _JOB} if name.startswith("submit_") else _LINKS.get(name, {})
            for status, links in found.items():
                operation["responses"][status]["links"] = links
