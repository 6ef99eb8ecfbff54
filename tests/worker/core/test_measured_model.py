"""A job reads what is stored of its baseline before it does any work."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InvalidModel
from tests.service.conftest import build_summary
from worker.core.measured_model import load_baseline
from worker.dataset_location import DatasetLocation
from worker.model_summary import read_summary
from worker.paired import Correctness

WHOLE = build_summary(test=0.9, size={"reference_bytes": 4000, "entries": []})
HEALTH = {
    "problems": ["from_later"], "most_answered_class": 0, "most_answered_share": 0.2, "largest_class_share": 0.1,
    "accuracy": 0.9, "dead_layers": [], "num_not_finite": 0,
}  # fmt: skip
RIGHT = Correctness("digest", 20, 0b1011).to_json()


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(
    "damage",
    [
        {"right": RIGHT["right"][:-8]},
        {"right": RIGHT["right"][:4] + "AAAA" + RIGHT["right"][8:]},
        {"right": "no base64!"},
        {"right": base64.b64encode(zlib.compress(bytes(1 << 20))).decode()},
        {"right": base64.b64encode(zlib.compress(bytes(2))).decode()},
        {"right": base64.b64encode(zlib.compress(bytes([0, 0, 16]))).decode()},
        {"num_examples": 1 << 27, "right": base64.b64encode(zlib.compress(bytes(1 << 24))).decode()},
        {"num_examples": 28},
        {"num_examples": 1 << 80},
        {"num_examples": 0},
        {"num_examples": -20},
    ],
    ids=[
        "cut",
        "other bits",
        "other characters",
        "too long",
        "too short",
        "a picture too many",
        "as many as it says, and too many for anything",
        "more",
        "far more",
        "none",
        "negative",
    ],
)
def test_a_damaged_record_of_right_answers_is_refused_before_the_model_is_opened(
    split: str, damage: dict[str, Any], tmp_path: Path
) -> None:
    summary = WHOLE | {"correctness": {"validation": RIGHT, "test": RIGHT, split: RIGHT | damage}}
    with pytest.raises(InvalidModel) as refused:
        load_baseline("mdl_0", tmp_path / "no file", summary, DatasetLocation(tmp_path))
    assert refused.value.field == "model_id"
    assert f"correctness.{split}" in str(refused.value)
    kept = read_summary(summary).correctness
    other = "test" if split == "validation" else "validation"
    assert kept is not None
    assert (kept.unpack(split), kept.unpack(other)) == (None, Correctness("digest", 20, 0b1011))


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"health": HEALTH}, "health.problems.0"),
        ({"origin": {"model_id": "mdl_1"}}, "origin.test_accuracy"),
        ({"evaluation": {"validation": {"accuracy": 0.5}}}, "evaluation.validation.num_correct"),
        ({"evaluation": None}, "mdl_0"),
        ({"size": {"entries": []}}, "mdl_0"),
        ({"bit_width": 4}, "mdl_0"),
    ],
)
def test_a_summary_that_says_too_little_is_refused_before_the_model_is_opened(
    stored: dict[str, Any], told: str, tmp_path: Path
) -> None:
    summary = WHOLE | stored
    with pytest.raises(InvalidModel) as refused:
        load_baseline("mdl_0", tmp_path / "no file", summary, DatasetLocation(tmp_path))
    assert refused.value.field == "model_id"
    assert told in str(refused.value)


def test_what_no_job_goes_by_may_come_from_a_later_version(tmp_path: Path) -> None:
    summary = WHOLE | {"latency": "fast", "layers": [{"name": "attention"}]}
    with pytest.raises(FileNotFoundError):
        load_baseline("mdl_0", tmp_path / "no file", summary, DatasetLocation(tmp_path))
