"""Types of results: what any version stored is read, what today's jobs make is exact, techniques have names."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.service.conftest import build_summary
from tests.worker.report.small_study import KINDS, build_results
from worker.catalog import HealthProblem
from worker.controls import CONTROLS, ControlDesign, ControlKind
from worker.jobs import SPECS
from worker.model_summary import ModelSummary, read_summary
from worker.results import RESULTS, read_result
from worker.results.compress import AblationRow, CompressControl, CompressResult
from worker.results.older_techniques import read_sentences
from worker.results.train import TrainResult
from worker.techniques import AppliedTechnique, Technique, describe_techniques

STORED = Path(__file__).parent / "stored_results"
"""What a study of digits, of a small network and few pictures, left at 4f93c66."""
ARCHIVES = sorted((Path(__file__).parent.parent / "upgrades" / "directories").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The rows that an older state of the code wrote."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    with closing(sqlite3.connect(tmp_path / "data" / "tonok.db")) as connection:
        yield connection


def test_what_older_versions_stored_is_read_whole(database: sqlite3.Connection) -> None:
    stored = database.execute("SELECT kind, result FROM job WHERE json_type(result) = 'object'").fetchall()
    assert {kind for kind, _ in stored} >= {"train", "prune", "quantize"}
    for kind, text in stored:
        result = read_result(kind, json.loads(text))
        assert result is not None
        assert result.to_json() == json.loads(text)
    summaries = [json.loads(text) for (text,) in database.execute("SELECT summary FROM model")]
    assert summaries
    assert [read_summary(summary).to_json() for summary in summaries] == summaries


def select(whole: Any, part: Any) -> Any:
    """What `whole` holds in the places that `part` has."""
    if isinstance(part, dict):
        return {name: select(whole[name], inner) for name, inner in part.items()}
    if isinstance(part, list):
        return [select(one, inner) for one, inner in zip(whole, part, strict=True)]
    return whole


@pytest.mark.parametrize("kind", ["compress", "study"])
def test_a_result_that_took_long_to_make_is_read_whole(kind: str) -> None:
    stored = json.loads((STORED / f"{kind}.json").read_text(encoding="utf-8"))
    result = read_result(kind, stored)
    assert result is not None
    # Names of techniques may have been added since, and nothing may have gone.
    assert select(result.to_json(), stored) == stored
    assert read_result(kind, result.to_json()) == result


def test_each_kind_of_job_has_a_type_of_result() -> None:
    assert RESULTS.keys() == SPECS.keys()


@pytest.mark.parametrize("step", [name for name in build_results() if name != "compress"])
def test_results_of_the_small_study_are_read(step: str) -> None:
    result = build_results()[step]
    assert read_result(KINDS.get(step, "prune"), result) is not None


def test_a_result_of_today_has_no_field_but_its_own() -> None:
    trained = build_results()["train"]
    with pytest.raises(ValidationError):
        TrainResult.model_validate({**trained, "from_later": 1})
    read = read_result("train", {**trained, "from_later": 1, "size": {**trained["size"], "from_later": 2}})
    assert read == read_result("train", trained)
    assert read_result("train", {name: value for name, value in trained.items() if name != "size"}) is None
    assert read_result("from_later", trained) is None


def test_what_cannot_be_read_of_a_summary_is_left_out_and_no_more() -> None:
    whole = build_summary(test=0.9, file_bytes=1000)
    health = {"problems": ["from_later"], "accuracy": 0.5}
    read = read_summary({**whole, "health": health, "macs": "many", "from_later": [1]})
    assert (read.health, read.macs) == (None, None)
    assert read.to_json() == {name: value for name, value in read_summary(whole).to_json().items() if name != "macs"}
    one_split = read_summary({"evaluation": {**whole["evaluation"], "validation": {"accuracy": 0.5}}})
    assert one_split.evaluation is not None
    assert one_split.evaluation.validation is None
    assert one_split.evaluation.test is not None


def test_a_list_of_values_is_read_whole_or_not_at_all() -> None:
    # With a problem left out that this version does not know, the model would be called sound.
    health = {
        "problems": ["from_later"], "most_answered_class": 0, "most_answered_share": 0.2,
        "largest_class_share": 0.1, "accuracy": 0.9, "dead_layers": [], "num_not_finite": 0,
    }  # fmt: skip
    read = read_summary({"health": health, "class_names": ["a", None, "c"], "activation_bit_widths": [8, "many"]})
    assert (read.health, read.class_names, read.activation_bit_widths) == (None, None, None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(ModelSummary.model_fields)), _JSON, max_size=5))
def test_reading_a_summary_never_fails(stored: dict[str, Any]) -> None:
    assert ModelSummary.read(read_summary(stored).to_json()) == read_summary(stored)


def test_numbers_that_are_none_stay_for_who_stores_them_to_say_so() -> None:
    trained = build_results()["train"]
    trained["history"][0]["train_loss"] = float("nan")
    loss = TrainResult.model_validate(trained).to_json()["history"][0]["train_loss"]
    assert loss != loss


def test_techniques_are_names_with_numbers_whichever_version_told_of_them() -> None:
    told = read_sentences(
        [
            "channel pruning, hidden widths 32-64-128 to 16-32-64",
            "channel pruning, hidden widths [32, 64, 128] to [16, 32, 64]",
            "the teacher trained for up to 20 more epochs",
            "training pictures shifted by up to 2 px",
            "the last 4 epochs on training pictures as they are stored",
            "quantization-aware training with learned step sizes, 4 bit weights, 8 bit activations",
            "quantization-aware training with learned step sizes, 6 bit weights and activations",
            "4 bit training (LSQ) while pruned (LAMP) to 80.0 %",
            "further pruned to 92.5 %",
            "8 bit integers, calibrated, batch norm folded",
            "rate-distortion rounding of the integers: a bit is worth 2.50e-05 nats per picture",
            "scales and biases rounded to 5 mantissa bits",
            "by a way that is not known yet",
        ]
    )
    widths = {"widths_before": (32, 64, 128), "widths_after": (16, 32, 64)}
    assert told == (
        AppliedTechnique(technique=Technique.CHANNEL_PRUNING, **widths),
        AppliedTechnique(technique=Technique.CHANNEL_PRUNING, **widths),
        AppliedTechnique(technique=Technique.TRAINED_TEACHER, epochs=20),
        AppliedTechnique(technique=Technique.SHIFTED_PICTURES, max_shift=2),
        AppliedTechnique(technique=Technique.PLAIN_PICTURES, epochs=4),
        AppliedTechnique(technique=Technique.LEARNED_STEP_SIZES, bit_width=4, activation_bit_width=8),
        AppliedTechnique(technique=Technique.LEARNED_STEP_SIZES, bit_width=6, activation_bit_width=6),
        AppliedTechnique(technique=Technique.LEARNED_STEP_SIZES, bit_width=4),
        AppliedTechnique(technique=Technique.WEIGHT_PRUNING, sparsity=0.8),
        AppliedTechnique(technique=Technique.WEIGHT_PRUNING, sparsity=0.925),
        AppliedTechnique(technique=Technique.CALIBRATED_QUANTIZATION, bit_width=8),
        AppliedTechnique(technique=Technique.BATCH_NORM_FOLDING),
        AppliedTechnique(technique=Technique.RATE_DISTORTION_ROUNDING, rd_lambda=2.5e-5),
        AppliedTechnique(technique=Technique.MANTISSA_ROUNDING, mantissa_bits=5),
    )


_BITS, _WIDTHS = st.integers(2, 8), st.lists(st.integers(1, 999), min_size=1, max_size=4).map(tuple)
_PARAMETERS: dict[Technique, dict[str, st.SearchStrategy[Any]]] = {
    Technique.CALIBRATED_QUANTIZATION: {"bit_width": _BITS},
    Technique.LEARNED_STEP_SIZES: {"bit_width": _BITS, "activation_bit_width": _BITS},
    Technique.CHANNEL_PRUNING: {"widths_before": _WIDTHS, "widths_after": _WIDTHS},
    Technique.WEIGHT_PRUNING: {"sparsity": st.integers(0, 1000).map(lambda tenths: float(f"{tenths / 10}") / 100)},
    Technique.TRAINED_TEACHER: {"epochs": st.integers(1, 500)},
    Technique.SHIFTED_PICTURES: {"max_shift": st.integers(1, 4)},
    Technique.PLAIN_PICTURES: {"epochs": st.integers(1, 500)},
    Technique.RATE_DISTORTION_ROUNDING: {"rd_lambda": st.floats(1e-9, 1e3).map(lambda nats: float(f"{nats:.2e}"))},
    Technique.MANTISSA_ROUNDING: {"mantissa_bits": st.integers(1, 23)},
}


@st.composite
def apply_anything(draw: st.DrawFn) -> AppliedTechnique:
    technique = draw(st.sampled_from(Technique))
    strategies = _PARAMETERS.get(technique, {})
    return AppliedTechnique(technique=technique, **{name: draw(values) for name, values in strategies.items()})


@given(st.lists(apply_anything()))
def test_a_sentence_says_all_that_is_known_of_a_technique(applied: list[AppliedTechnique]) -> None:
    assert read_sentences(describe_techniques(applied)) == tuple(applied)


@pytest.mark.parametrize("technique", _PARAMETERS)
def test_no_sentence_has_a_hole_where_a_number_should_be(technique: Technique) -> None:
    with pytest.raises(KeyError):
        describe_techniques([AppliedTechnique(technique=technique)])


def test_a_compression_that_tells_of_its_techniques_in_words_alone_is_read_with_their_names() -> None:
    numbers = dict.fromkeys(["accuracy_before", "accuracy_after", "drop_before", "drop_after"], 0.5)
    row = {"technique": "further pruned to 90.0 %", "measure": "file", "bytes_before": 9, "bytes_after": 5, **numbers}
    stored = build_results()["compress"] | {
        "file_bytes": 1000, "compression_ratio": 40.0, "within_max_accuracy_drop": True, "ablation": [row],
    }  # fmt: skip
    read = cast("CompressResult | None", read_result("compress", stored))
    assert read is not None
    assert [one.technique for one in read.applied] == [Technique.DISTILLATION, Technique.ENTROPY_CODING]
    assert read.ablation is not None
    assert read.ablation[0].applied == (AppliedTechnique(technique=Technique.WEIGHT_PRUNING, sparsity=0.9),)
    # Stored with their names, they are not read from words again.
    again = AblationRow.model_validate({**read.ablation[0].to_json(), "technique": "in other words"})
    assert again.applied == read.ablation[0].applied
    assert CompressResult.read({**read.to_json(), "techniques": ["in other words"]}).applied == read.applied


@pytest.mark.parametrize(("kind", "design"), CONTROLS.items())
def test_a_control_that_was_stored_by_its_name_alone_is_known_by_it(kind: ControlKind, design: ControlDesign) -> None:
    numbers = dict.fromkeys(["validation_accuracy", "test_accuracy", "validation_drop", "test_drop"], 0.5)
    stored = {"name": design.name, "num_bytes": 900, "sparsity": 0.0, "widths": [8], "epochs": 3, **numbers}
    assert CompressControl.read(stored).kind is kind
    assert CompressControl.read(stored | {"kind": None}).kind is kind
    assert CompressControl.read(stored | {"name": "of another version"}).kind is None


def test_every_problem_of_a_model_can_be_told() -> None:
    health = {
        "problems": [str(problem) for problem in HealthProblem], "most_answered_class": 0, "most_answered_share": 1.0,
        "largest_class_share": 0.1, "accuracy": 0.1, "dead_layers": ["fc1"], "num_not_finite": 3,
    }  # fmt: skip
    assert read_summary({"health": health}).to_json() == {"health": health}
