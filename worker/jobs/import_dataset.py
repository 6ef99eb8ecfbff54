"""Bring pictures of one's own."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from worker.catalog import ArtifactKind
from worker.dataset_files.options import DatasetOptions
from worker.job_spec import JobContext, JobOutcome, UploadSpec
from worker.results.import_dataset import ImportDatasetResult
from worker.workspace import DatasetRecord


class ImportDatasetSpec(UploadSpec):
    """Reads a file of pictures and their classes, decodes and splits them once, and counts what is in them."""

    version: ClassVar[int] = 4
    is_light: ClassVar[bool] = True

    kind: Literal["import_dataset"] = "import_dataset"
    options: DatasetOptions = Field(default_factory=DatasetOptions)


def run(spec: ImportDatasetSpec, context: JobContext) -> JobOutcome:
    """Decodes the file that came with the request, and draws its contact sheet."""
    from worker.dataset_files.cache import open_cache
    from worker.dataset_files.contact_sheet import draw_contact_sheet
    from worker.dataset_files.importing import import_dataset

    pictures = context.artifact_path("pictures.safetensors", ArtifactKind.PICTURES)
    summary = import_dataset(context.upload_file(), pictures, spec.options, context, check_room=context.check_room)
    sheet = context.artifact_path("contact-sheet.png", ArtifactKind.PLOT)
    draw_contact_sheet(open_cache(pictures), sheet)
    for warning in summary.warnings:
        context.warn(warning)
    files = {"pictures": pictures.name, "contact_sheet": sheet.name}
    record = DatasetRecord(spec.name or "pictures", files, summary.to_json())
    dataset_id = context.save_dataset(record)
    result = ImportDatasetResult.model_validate(summary.to_json() | {"dataset_id": dataset_id})
    return JobOutcome(result.to_json())
