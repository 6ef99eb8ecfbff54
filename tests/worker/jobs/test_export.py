"""A stored model becomes a file that other programs run, and is measured by them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from pydantic import ValidationError

from storage.errors import InvalidModel
from tests.needs import NO_CORTEX_M, has_cortex_m
from tests.worker.exports.c.programs import find_compiler
from tests.worker.jobs.conftest import Shop
from worker.catalog import ArtifactKind, ExportTarget
from worker.exports.targets import EXPORTERS
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec
from worker.results import read_result
from worker.results.export import ExportResult

NEEDS_COMPILER = pytest.mark.skipif(find_compiler("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def quantized(trained: tuple[Shop, JobOutcome, Any], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Models of digits by bit width, and the float model as `mdl_0`."""
    shop = Shop(tmp_path_factory.mktemp("quantized"))
    shop.models["mdl_0"] = trained[0].models["mdl_0"]
    spec = {"kind": "quantize", "model_id": "mdl_0", "bit_widths": [8, 4], "mode": "post_training"}
    outcome, _ = shop.run("quantize", **spec)
    ids = {row["bit_width"]: row["model_id"] for row in outcome.result["widths"]}
    return {"models": shop.models, **{str(width): model_id for width, model_id in ids.items()}}


@pytest.fixture
def shelf(quantized: Mapping[str, Any], tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.models.update(quantized["models"])
    return shop


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize("width", ["8", "4"])
def test_c_answers_the_bits_that_are_computed_here_on_the_whole_test_split(
    width: str, quantized: Mapping[str, Any], shelf: Shop
) -> None:
    outcome, context = shelf.run("export", kind="export", model_id=quantized[width], target="c")
    result, summary = outcome.result, context.model_summary(quantized[width])
    run, measured = result["run"], summary["evaluation"]["test"]
    assert run["num_identical"] == run["num_agreeing"] == run["num_examples"] == measured["num_examples"]
    assert run["num_correct"] == measured["num_correct"]
    assert run["latency"]["median_ms"] <= run["latency"]["p99_ms"]
    assert run["latency"]["threads"] == 1  # of the program, whatever the job has
    assert context.artifacts == {"c.zip": ArtifactKind.EXPORT}
    path = context.artifact_path("c.zip", ArtifactKind.EXPORT)
    assert result["num_bytes"] == path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        assert "network/network.c" in archive.namelist()
    packed = next(entry["bytes"] for entry in summary["size"]["entries"] if entry["measure"] == "formula")
    assert packed <= result["memory"]["constant_bytes"] <= packed + 1000
    assert [warning for warning in context.warnings if "microcontroller" not in warning] == []


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.skipif(not has_cortex_m(), reason=NO_CORTEX_M)
def test_c_answers_the_same_bits_on_an_emulated_microcontroller(quantized: Mapping[str, Any], shelf: Shop) -> None:
    outcome, context = shelf.run("export", kind="export", model_id=quantized["4"], target="c")
    device, memory = outcome.result["device"], outcome.result["memory"]
    assert device["num_identical"] == device["num_examples"] == device["num_asked_examples"] == 100
    assert (device["board"], device["core"]) == ("mps2-an386", "Cortex-M4")
    assert "arm-none-eabi-gcc" in device["compiler"]
    assert "QEMU" in device["emulator"]
    assert memory["constant_bytes"] < device["flash_bytes"] < memory["constant_bytes"] + 8192
    assert memory["ram_bytes"] <= device["ram_bytes"] - device["stack_bytes"] < memory["ram_bytes"] + 64
    assert device["instructions_per_picture"] > context.model_summary(quantized["4"])["macs"]
    assert device["set_up_instructions"] is None
    assert context.warnings == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "weight_type", "chosen"),
    [("8", None, "int8"), ("4", None, "int4"), ("4", "float32", "float32"), ("float", None, "float32")],
)
def test_onnx_answers_nearly_always_the_same_class(
    model: str, weight_type: str | None, chosen: str, quantized: Mapping[str, Any], shelf: Shop
) -> None:
    model_id = quantized.get(model, "mdl_0")
    spec = {"kind": "export", "model_id": model_id, "target": "onnx", "weight_type": weight_type}
    outcome, context = shelf.run("export", **spec)
    assert (outcome.result["weight_type"], outcome.result["format"]) == (chosen, f"onnx-{chosen}")
    run = outcome.result["run"]
    assert run["num_examples"] == run["num_test_examples"]
    assert run["agreement"] == run["num_agreeing"] / run["num_examples"] >= 0.99
    assert outcome.result["device"] is None
    exported = onnx.load(context.artifact_path(f"onnx-{chosen}.onnx", ArtifactKind.EXPORT))
    types = {one.data_type for one in exported.graph.initializer if one.name.endswith(("integers", "/weight"))}
    assert types == {getattr(onnx.TensorProto, {"float32": "FLOAT"}.get(chosen, chosen.upper()))}


def test_what_a_target_cannot_hold_is_refused_by_the_run_too(shelf: Shop, quantized: Mapping[str, Any]) -> None:
    for spec, field in (
        ({"model_id": "mdl_0", "target": "c"}, "model_id"),
        ({"model_id": quantized["8"], "target": "onnx", "weight_type": "int4"}, "weight_type"),
    ):
        with pytest.raises(InvalidModel) as raised:
            shelf.run("export", kind="export", **spec)
        assert raised.value.field == field


@pytest.mark.parametrize(
    ("spec", "summary", "is_refused"),
    [
        ({"target": "c"}, {"bit_width": None}, True),
        ({"target": "c"}, {"bit_width": 4}, False),
        ({"target": "onnx"}, {"bit_width": None}, False),
        ({"target": "onnx", "weight_type": "int8"}, {"bit_width": None}, True),
        ({"target": "onnx", "weight_type": "int8"}, {"bit_width": 4}, False),
    ],
)
def test_a_model_that_cannot_be_exported_so_is_refused_at_the_door(
    spec: Mapping[str, Any], summary: Mapping[str, Any], is_refused: bool
) -> None:
    parsed = parse_spec({"kind": "export", "model_id": "mdl_0", **spec})
    assert (parsed.refuse_start(summary) is not None) == is_refused


def test_a_model_that_was_measured_on_nothing_is_written_and_not_run(shelf: Shop, quantized: Mapping[str, Any]) -> None:
    path, summary = shelf.models[quantized["8"]]
    shelf.models["mdl_unmeasured"] = path, {**summary, "dataset": None, "not_measured": "no data set has its classes"}
    outcome, context = shelf.run("export", kind="export", model_id="mdl_unmeasured", target="onnx")
    assert outcome.result["run"] is None
    assert outcome.result["num_bytes"] > 0
    assert len(context.warnings) == 1


def test_a_machine_without_a_compiler_still_writes_the_file(
    shelf: Shop, quantized: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome, context = shelf.run("export", kind="export", model_id=quantized["8"], target="c")
    assert outcome.result["run"] is outcome.result["device"] is None
    here, emulated = context.warnings
    assert "apt-get install gcc make libc6-dev" in here
    assert "apt-get install make gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm" in emulated


def test_what_was_stored_before_microcontrollers_were_emulated_is_still_read(
    shelf: Shop, quantized: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome, _ = shelf.run("export", kind="export", model_id=quantized["8"], target="c")
    stored = {name: value for name, value in outcome.result.items() if name != "device"}
    read = read_result("export", stored)
    assert isinstance(read, ExportResult)
    assert read.device is None
    assert json.loads(json.dumps(outcome.result))["num_bytes"] > 0


@pytest.mark.slow
@NEEDS_COMPILER
def test_the_compressed_form_has_the_bytes_of_the_file_in_flash(quantized: Mapping[str, Any], shelf: Shop) -> None:
    outcome, context = shelf.run("export", kind="export", model_id=quantized["4"], target="c", form="compressed")
    result, run, memory = outcome.result, outcome.result["run"], outcome.result["memory"]
    assert result["format"] == "c-compressed"
    assert context.artifacts == {"c-compressed.zip": ArtifactKind.EXPORT}
    assert memory["weight_bytes"] == context.model_file(quantized["4"]).stat().st_size
    assert (
        run["num_identical"]
        == run["num_examples"]
        == context.model_summary(quantized["4"])["evaluation"]["test"]["num_examples"]
    )
    if has_cortex_m():
        device = result["device"]
        assert device["num_identical"] == device["num_examples"] == 100
        assert device["set_up_instructions"] > device["instructions_per_picture"]
    plain, _ = shelf.run("export", kind="export", model_id=quantized["4"], target="c", form="plain")
    assert plain.result["format"] == "c"
    assert plain.result["memory"]["constant_bytes"] > memory["constant_bytes"]
    assert plain.result["memory"]["ram_bytes"] < memory["ram_bytes"]


def test_a_form_is_of_c_alone() -> None:
    with pytest.raises(ValidationError, match="form"):
        parse_spec({"kind": "export", "model_id": "mdl_0", "target": "onnx", "form": "compressed"})


@pytest.mark.parametrize(
    ("target", "num_identical", "agreement", "is_told"),
    [("c", 10, 1.0, False), ("c", 9, 1.0, True), ("onnx", 0, 0.9995, False), ("onnx", 0, 0.998, True)],
)
def test_a_file_that_answers_otherwise_is_told_of(
    target: ExportTarget, num_identical: int, agreement: float, is_told: bool
) -> None:
    told = EXPORTERS[target].describe_difference(10, num_identical, agreement)
    assert (told is not None) is is_told
