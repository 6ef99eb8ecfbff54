from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from worker.job_spec import LabelValue
from worker.jobs.train import TrainSpec
from worker.names import NAME, is_name

READABLE = [
    "a",
    "T-shirt/top",
    " a ",
    "نیم‌فاصله",
    "نیم\u200cفاصله",
    "क्\u200dष",
    "👨\u200d👩\u200d👧",
    "❤\ufe0f",
    "é",
    "e\u0301",
]
UNREADABLE = [
    "", " ", "\u00a0", "\u3000", "\u2800", "\u3164", "\u200c", " \u200d ", "\ufe0f",
    *(f"a{mark}b" for mark in (
        "\0", "\n", "\x7f", "\x85", "\u00ad", "\u061c", "\u180e", "\u200b", "\u200e", "\u200f", "\u2028", "\u2029",
        "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff", "\ufff9", "\U000e0001", "\U000e0041", "\U000e007f",
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", READABLE, ids=ascii)
def test_a_name_that_people_can_read_is_one(text: str) -> None:
    assert is_name(text)
    assert re.search(NAME, text)
    assert TrainSpec(name=text, labels={"of": text}).name == text


@pytest.mark.parametrize("text", UNREADABLE, ids=ascii)
def test_what_shows_nothing_or_turns_what_stands_around_it_is_no_name(text: str) -> None:
    assert not is_name(text)
    assert not re.fullmatch(NAME.removeprefix("^").removesuffix("$"), text)
    with pytest.raises(ValidationError):
        TypeAdapter(LabelValue).validate_python(text)
    with pytest.raises(ValidationError) as error:
        TrainSpec(name=text)
    assert error.value.errors()[0]["loc"] == ("name",)
