"""Which file `compress` answers with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.core.compression.candidates import WORTH_THE_MARGIN, Candidate, choose_candidate, list_front


def make(num_bytes: int, drop: float) -> Candidate:
    """Of a job that allows one point, with a reserve of 0.3."""
    return Candidate(
        stage=f"{num_bytes}",
        name=f"{num_bytes} bytes",
        num_bytes=num_bytes,
        accuracy=0.93 - drop / 100,
        drop=drop,
        within=drop <= 1.0,
        has_margin=drop <= 0.7,
        sparsity=0.9,
        bit_width=4,
        lost=0,
        gained=0,
        drop_bound=drop,
    )


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        pytest.param([(9000, 0.1), (6000, 0.6), (5000, 0.9), (4000, 1.2)], 6000, id="the smallest with the reserve"),
        pytest.param([(9000, 0.8), (6000, 0.9), (4000, 1.2)], 6000, id="else the smallest within"),
        pytest.param([(9000, 1.8), (6000, 1.1), (4000, 1.2)], 6000, id="else the most accurate"),
        pytest.param([(9000, 1.1), (6000, 1.1)], 6000, id="of several as accurate the smallest"),
        pytest.param([(120_000, 0.1), (7000, 0.8)], 7000, id="not one that is many times larger"),
        pytest.param(
            [(int(WORTH_THE_MARGIN * 7000), 0.1), (7000, 0.8)], 28_000, id="but one that is some times larger"
        ),
        pytest.param([(120_000, 0.1), (7000, 1.1)], 120_000, id="never one beyond the drop"),
    ],
)
def test_the_file_that_is_chosen(files: list[tuple[int, float]], chosen: int) -> None:
    assert choose_candidate([make(*file) for file in files]).num_bytes == chosen


def test_a_file_that_is_not_sound_is_chosen_only_where_no_sound_one_is_within() -> None:
    sick, sound = replace(make(199, 0.0), problems=("dead_layer",)), make(9000, 0.9)
    assert choose_candidate([sick, sound]) == sound
    assert choose_candidate([sick, make(9000, 1.2)]) == sick
    assert choose_candidate([sick]) == sick


def test_a_file_that_is_not_sound_is_on_no_front_and_keeps_none_from_it() -> None:
    small, middle, large = make(199, 0.0), make(5000, 0.9), make(9000, 0.1)
    assert list_front([large, small, middle]) == [small]
    sick = replace(small, problems=("one_class", "chance"))
    assert list_front([large, sick, middle]) == [middle, large]
    assert list_front([sick]) == []
