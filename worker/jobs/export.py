"""Export a stored model to a file that other programs run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from worker.catalog import ArtifactKind, ExportTarget, SourceForm, WeightType
from worker.job_spec import JobContext, JobOutcome, JobSpec, ModelId, describe_rules
from worker.progress import Progress
from worker.results.export import ExportDevice, ExportMemory, ExportResult, ExportRun

if TYPE_CHECKING:
    from worker.datasets import Dataset
    from worker.exports.exporter import Exporter
    from worker.exports.loading import StoredNetwork

_NULL = {"type": "null"}


class ExportSpec(JobSpec):
    """Writes a stored model as C for microcontrollers or as ONNX, and runs that file on the test split."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model_id": "latest", "target": "onnx"}],
            "allOf": [
                *describe_rules("target", ["c"], "", weight_type=_NULL),
                *describe_rules("target", ["onnx"], "", form=_NULL),
            ],
        }
    )

    version: ClassVar[int] = 4
    compares_accuracy: ClassVar[bool] = False

    kind: Literal["export"] = "export"
    model_id: ModelId
    target: ExportTarget = Field(description="`c` takes quantized and compressed models alone.")
    weight_type: WeightType | None = Field(
        None,
        description="Of the weights in an ONNX file: by default the smallest that holds them, float32 for floats.",
    )

    form: SourceForm | None = Field(
        None,
        description="Of C: `plain` has the weights packed in flash; `compressed` has the bytes of the `.tonok` file "
        "there and decodes them at start, into RAM. By default `plain`.",
    )

    @model_validator(mode="after")
    def _check_variant(self) -> Self:
        if self.target is ExportTarget.C and self.weight_type is not None:
            raise ValueError("weight_type: in C each layer's weights have their own width")
        if self.target is not ExportTarget.C and self.form is not None:
            raise ValueError("form: of the target c alone")
        return self

    def refuse_start(self, summary: Mapping[str, Any]) -> str | None:
        """Says what keeps a stored model from being exported so."""
        bit_width = summary.get("bit_width")
        if bit_width is None and self.target is ExportTarget.C:
            return "C computes on integers: quantize or compress this model first"
        if bit_width is None and self.weight_type not in (None, WeightType.FLOAT32):
            return f"this model is of floats: quantize it before its weights are {self.weight_type}"
        return None


def run(spec: ExportSpec, context: JobContext) -> JobOutcome:
    """Loads the model, writes the file, runs it on the test split beside the model itself."""
    import torch

    from worker.environment import describe_environment
    from worker.exports.loading import load_stored_network
    from worker.exports.targets import EXPORTERS

    context.report(Progress(phase="loading", percent=0))
    stored = load_stored_network(context.model_file(spec.model_id), context.model_summary(spec.model_id))
    exporter = EXPORTERS[spec.target]
    variant = exporter.choose_variant(stored.arrays.network, spec.weight_type or spec.form)
    context.report(Progress(phase="writing", percent=10))
    file_format = str(spec.target) if variant is None else f"{spec.target}-{variant}"
    path = context.artifact_path(f"{file_format}.{exporter.suffix}", ArtifactKind.EXPORT)
    memory = exporter.write(stored.arrays, variant, spec.name or spec.model_id, path)

    context.report(Progress(phase="measuring", percent=20))
    measured, device = None, None
    if stored.info.dataset is None:
        context.warn("the file was not run: the model was measured on no data set")
    else:
        data = stored.load_data(context.datasets)
        measured = _measure(context, stored, data, exporter, path)
        device = _measure_device(context, stored, data, exporter, path, memory)
    result = {
        "model_id": spec.model_id,
        "target": spec.target,
        "format": file_format,
        "num_bytes": path.stat().st_size,
        "weight_type": variant if isinstance(variant, WeightType) else None,
        "memory": memory,
        "run": measured,
        "device": device,
        "environment": describe_environment(torch.get_num_threads()),
    }
    return JobOutcome(ExportResult.model_validate(result).to_json())


def _measure(
    context: JobContext, stored: StoredNetwork, data: Dataset, exporter: Exporter, path: Path
) -> ExportRun | None:
    """What the file's runtime says of it; None, and a warning, where it cannot be asked."""
    from worker.exports.exporter import NoRuntime
    from worker.exports.measuring import measure_program

    try:
        program = exporter.open(path, _clear_folder(context, "program"), context.threads)
    except NoRuntime as missing:
        context.warn(f"the file was not run: this takes {missing}")
        return None
    measured = measure_program(
        program,
        stored.model,
        data,
        lambda done, total: context.report(Progress(percent=20 + 70 * done / total)),
    )
    if measured.num_examples < measured.num_test_examples:
        context.warn(f"the file was run on {measured.num_examples:,} of {measured.num_test_examples:,} test pictures")
    if difference := exporter.describe_difference(measured.num_examples, measured.num_identical, measured.agreement):
        context.warn(f"the file does not answer as the model does here: {difference}")
    return measured


def _measure_device(
    context: JobContext,
    stored: StoredNetwork,
    data: Dataset,
    exporter: Exporter,
    path: Path,
    memory: ExportMemory | None,
) -> ExportDevice | None:
    """What an emulated board says of the file; None where the target is for none, or with a warning."""
    from worker.exports.exporter import NoDevice
    from worker.exports.measuring import measure_device

    context.report(Progress(phase="emulating", percent=90))
    try:
        device = exporter.open_device(path, _clear_folder(context, "device"), memory)
        if device is None:
            return None
        measured = measure_device(device, stored.model, data)
    except NoDevice as reason:
        context.warn(f"the file was not run on an emulated microcontroller: {reason}")
        return None
    if (difference := exporter.describe_difference(measured.num_examples, measured.num_identical, None)) is not None:
        context.warn(f"on an emulated microcontroller the file does not answer as the model does here: {difference}")
    if measured.num_examples < measured.num_asked_examples:
        pictures = f"{measured.num_examples} of {measured.num_asked_examples} test pictures"
        context.warn(f"the file was run on an emulated microcontroller for {pictures}: there was no time for more")
    return measured


def _clear_folder(context: JobContext, name: str) -> Path:
    """A folder of the attempt's, without what one that was killed left there."""
    folder = context.scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder
