"""A job reads what is stored of its baseline before it does any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.errors import InvalidModel
from tests.service.conftest import build_summary
from worker.core.measured_model import load_baseline

WHOLE = build_summary(test=0.9, size={"reference_bytes": 4000, "entries": []})
HEALTH = {
    "problems": ["from_later"], "most_answered_class": 0, "most_answered_share": 0.2, "largest_class_share": 0.1,
    "accuracy": 0.9, "dead_layers": [], "num_not_finite": 0,
}  # fmt: skip


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
        load_baseline("mdl_0", tmp_path / "no file", summary, tmp_path, None)
    assert refused.value.field == "model_id"
    assert told in str(refused.value)


def test_what_no_job_goes_by_may_come_from_a_later_version(tmp_path: Path) -> None:
    summary = WHOLE | {"latency": "fast", "layers": [{"name": "attention"}]}
    with pytest.raises(FileNotFoundError):
        load_baseline("mdl_0", tmp_path / "no file", summary, tmp_path, None)
