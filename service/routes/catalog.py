"""What can be asked for. Drives forms; grows by itself with worker/catalog.py and the job kinds."""

from __future__ import annotations

import ast
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends

import worker
from service.bodies import describe_body, parse_body
from service.openapi import problems
from service.schemas.catalog import (
    Methods,
    NamedChoice,
    SpecForm,
    TorchvisionNetwork,
)
from service.schemas.sizes import SizeEstimate, SizeEstimateRequest, SizeEstimates
from worker import catalog
from worker.descriptions import DESCRIPTIONS
from worker.jobs import POSTED_SPECS
from worker.network.torchvision_records import PREFIX, read_summaries
from worker.registry import name_module
from worker.size_formula import compute_size_bytes

router = APIRouter(prefix="/v1", tags=["catalog"])

_WORKER = Path(worker.__file__).parent
_FLOAT32_BITS = 32
# The folder of the worker whose modules implement the values; None where worker/descriptions.py says what they are.
_CHOICES: dict[str, tuple[type[StrEnum], str | None]] = {
    "architecture": (catalog.Architecture, "network/architectures"),
    "pruning_method": (catalog.PruningMethod, "core/pruning/methods"),
    "pruning_scope": (catalog.PruningScope, "core/pruning/scopes"),
    "pruning_pattern": (catalog.PruningPattern, None),
    "pruning_schedule": (catalog.PruningSchedule, "core/pruning/schedules"),
    "quantization_mode": (catalog.QuantizationMode, None),
    "effort": (catalog.Effort, None),
    "export_target": (catalog.ExportTarget, "exports/targets"),
    "source_form": (catalog.SourceForm, None),
    "weight_type": (catalog.WeightType, None),
    "optimizer": (catalog.Optimizer, "core/optimizers"),
    "loss": (catalog.Loss, "core/losses"),
    "class_weighting": (catalog.ClassWeighting, "class_weightings"),
    "precision": (catalog.Precision, None),
}


@cache
def list_choices(names: type[StrEnum], folder: str | None) -> list[NamedChoice]:
    """Names with what they are. folder: of the worker whose modules implement them."""
    return [
        NamedChoice(
            name=name.value,
            description=DESCRIPTIONS.get(name)
            if folder is None
            else _read_summary(_WORKER / folder / f"{name_module(name)}.py"),
        )
        for name in names
    ]


def _read_summary(module: Path) -> str | None:
    """The first line of a module's docstring. Read, not imported: importing it would load torch."""
    if not module.is_file():
        return None
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    return docstring.splitlines()[0] if docstring else None


@router.get("/methods", operation_id="list_methods", summary="List job kinds and methods")
def get_methods() -> Methods:
    """Job kinds with their JSON Schemas and examples, and every name that a spec may choose."""
    return Methods(
        job_kinds=[
            SpecForm(
                name=kind,
                description=(spec.__doc__ or "").strip(),
                submit=f"POST /v1/jobs/{kind}",
                example=spec.model_json_schema()["examples"][0],
                json_schema=spec.model_json_schema(),
            )
            for kind, spec in POSTED_SPECS.items()
        ],
        choices={name: list_choices(*source) for name, source in _CHOICES.items()},
        torchvision_networks=[
            TorchvisionNetwork(
                name=f"{PREFIX}{name}",
                parameters=summary.num_parameters,
                macs=summary.macs,
                smallest_side=summary.smallest_side,
            )
            for name, summary in read_summaries().items()
        ],
    )


@router.post(
    "/size-estimates",
    operation_id="estimate_size",
    summary="Estimate a network's size",
    openapi_extra=describe_body(SizeEstimateRequest, "fully connected", "convolutions"),
    responses=problems(408, 413, 415, 422),
)
def estimate_size(request: Annotated[SizeEstimateRequest, Depends(parse_body(SizeEstimateRequest))]) -> SizeEstimates:
    """From the size of each layer and the bit width alone; weights only; 1 KB is 1024 bytes."""
    layer_weights = request.count_weights()
    float32_bytes = compute_size_bytes(layer_weights, _FLOAT32_BITS)
    estimates = []
    for bit_width in request.bit_widths:
        widths = request.choose_widths(bit_width)
        num_bytes = compute_size_bytes(layer_weights, widths)
        estimates.append(
            SizeEstimate(bit_widths=widths, bytes=num_bytes, kb=num_bytes / 1024, ratio=float32_bytes / num_bytes)
        )
    return SizeEstimates(
        num_weights=sum(layer_weights),
        layer_weights=layer_weights,
        float32_bytes=float32_bytes,
        estimates=estimates,
        warnings=request.list_warnings(),
    )
