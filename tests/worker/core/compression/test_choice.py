"""What `compress` may answer with, decided on made-up candidates and counts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from worker.core.compression.candidates import Candidate, choose_candidate
from worker.core.compression.reserve import CONFIDENCE, Reserve
from worker.core.drop_bound import compute_confidence, compute_drop_bound


def make(num_bytes: int, lost: int, gained: int, reserve: Reserve, *, is_plain: bool) -> Candidate:
    drop = 100 * (lost - gained) / reserve.num_pictures
    return Candidate(
        stage=f"{num_bytes}",
        name=f"{num_bytes} bytes",
        num_bytes=num_bytes,
        accuracy=0.95 - drop / 100,
        drop=drop,
        within=drop <= reserve.max_drop,
        has_margin=drop <= reserve.max_drop and reserve.is_kept(lost, gained),
        sparsity=0.5,
        bit_width=4,
        lost=lost,
        gained=gained,
        drop_bound=reserve.compute_bound(lost, gained),
        is_plain=is_plain,
    )


@pytest.mark.slow
def test_what_is_chosen_is_never_larger_than_the_smallest_plain_file_that_is_as_good() -> None:
    draw = random.Random(0)
    for _ in range(300):
        reserve = Reserve(draw.choice([150, 1000, 5000]), draw.choice([0.5, 1.0, 5.0]))
        most = max(2, round(reserve.max_drop / 100 * reserve.num_pictures * 2))
        candidates = [
            make(
                draw.randint(1000, 90_000), draw.randint(0, most), draw.randint(0, 3), reserve, is_plain=number % 2 == 0
            )
            for number in range(8)
        ]
        chosen = choose_candidate(candidates)
        nothing_has_margin = not any(one.has_margin for one in candidates)
        for plain in candidates:
            as_good = plain.has_margin or nothing_has_margin or plain.accuracy >= chosen.accuracy
            if plain.is_plain and plain.within and as_good:
                assert chosen.within
                assert chosen.num_bytes <= plain.num_bytes


def test_a_file_with_margin_gives_way_to_a_smaller_plain_one_that_is_as_accurate() -> None:
    reserve = Reserve(5000, 1.0)
    large = make(9000, 30, 5, reserve, is_plain=False)
    # As many more wrong, but on other pictures: on new ones it may be a little further off.
    plain = make(8000, 130, 105, reserve, is_plain=True)
    assert large.has_margin
    assert not plain.has_margin
    assert choose_candidate([large, plain]) == plain
    assert choose_candidate([large, replace(plain, is_plain=False)]) == large
    assert choose_candidate([large, replace(plain, accuracy=large.accuracy - 1e-3)]) == large


def test_one_picture_of_few_refuses_no_file() -> None:
    # lenet5 on digits: 150 pictures, of which one is 0.67 points of the one point that is allowed.
    reserve = Reserve(150, 1.0)
    assert not reserve.is_decidable
    small, large = make(25_982, 1, 0, reserve, is_plain=False), make(59_268, 0, 0, reserve, is_plain=True)
    assert choose_candidate([small, large]) == small


def test_on_five_thousand_pictures_about_half_a_point_is_kept() -> None:
    reserve = Reserve(5000, 1.0)
    assert reserve.is_decidable
    # Two networks of one lineage on FashionMNIST judge some 200 pictures differently.
    most = max(lost for lost in range(200) if reserve.is_kept(lost, 200 - lost))
    assert 0.45 <= 100 * (most - (200 - most)) / 5000 <= 0.6


@pytest.mark.parametrize("num_pictures", [50, 150, 1000, 5000])
def test_the_bound_and_the_confidence_say_the_same(num_pictures: int) -> None:
    for lost, gained in ((0, 0), (1, 0), (0, 4), (9, 3), (20, 20)):
        bound = compute_drop_bound(lost, gained, num_pictures, CONFIDENCE)
        assert bound > 100 * (lost - gained) / num_pictures
        assert compute_confidence(lost, gained, num_pictures, bound) == pytest.approx(CONFIDENCE, abs=1e-6)
        assert bound <= compute_drop_bound(lost + 1, gained, num_pictures, CONFIDENCE)


def test_no_difference_seen_bounds_the_drop_as_the_closed_form_does() -> None:
    # z² / (n + z²): near the rule of three, 3 / n.
    assert compute_drop_bound(0, 0, 150, 0.95) == pytest.approx(100 * 2.70554 / 152.70554, rel=1e-4)


def test_the_bound_holds_as_often_as_it_says() -> None:
    # A true drop of 1.5 points on 1,000 pictures: 3 % lost, 1.5 % gained.
    draw = random.Random(1)
    held = 0
    for _ in range(400):
        judged = [draw.random() for _ in range(1000)]
        lost, gained = sum(one < 0.03 for one in judged), sum(0.03 <= one < 0.045 for one in judged)
        held += compute_drop_bound(lost, gained, 1000, CONFIDENCE) >= 1.5
    assert 0.92 <= held / 400 <= 0.98
