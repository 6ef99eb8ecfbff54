"""What is said of a reserve that is counted in pictures follows from what the job recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.worker.report.small_study import ENGLISH, PERSIAN, build_results
from tests.worker.report.test_analysis import Results, find_all, say
from tests.worker.report.test_method import read_method
from worker.core.compression.reserve import Reserve

CHOSEN, SMALLER = 1, 2
"""Places among the candidates of the small study: 1,000 and 900 bytes."""


def ask(results: Results, counts: Mapping[int, tuple[int, int]], *, num_pictures: int = 5000) -> None:
    """Records what a job of today does. counts: place of a candidate → pictures lost and gained; the rest lose none."""
    compress, reserve = results["compress"], Reserve(num_pictures, 1.0)
    compress.pop("reserve_shares", None)
    for place, candidate in enumerate(compress["candidates"]):
        lost, gained = counts.get(place, (0, 0))
        drop, bound = 100 * (lost - gained) / num_pictures, reserve.compute_bound(lost, gained)
        candidate.update(lost=lost, gained=gained, drop=drop, drop_bound=bound, is_plain=False)
        candidate.update(within=drop <= 1.0, safe=drop <= 1.0 and reserve.is_kept(lost, gained))
    chosen = compress["candidates"][CHOSEN]
    compress.update(chosen=chosen, reserve=reserve.to_json(chosen["lost"], chosen["gained"]))


def find_reserve(results: Results) -> dict[str, Any]:
    return {key: one for key, one in find_all(results).items() if key.startswith(("final.bound", "final.reserve"))}


def test_a_file_that_keeps_the_reserve_is_said_to_and_with_which_pictures() -> None:
    results = build_results()
    ask(results, {CHOSEN: (80, 50), SMALLER: (190, 50)})
    found = find_reserve(results)
    assert list(found) == ["final.bound_kept"]
    values = {name: value.raw for name, value in found["final.bound_kept"].values.items()}
    bound = results["compress"]["reserve"]["drop_bound"]
    assert values == {"confidence": 95, "bound": bound, "pictures": 5000, "lost": 80, "gained": 50}
    english, persian = say(found["final.bound_kept"])
    assert f"at most {bound:.2f} points" in english
    assert "of 5,000 validation pictures, the baseline alone answers 80 rightly, and the file alone 50" in english
    assert "۸۰" in persian
    ask(results, {CHOSEN: (70, 50)})
    smaller = results["compress"]["reserve"]["drop_bound"]
    assert smaller < bound
    assert f"at most {smaller:.2f} points" in say(find_reserve(results)["final.bound_kept"])[0]


def test_a_smaller_file_that_was_not_taken_is_named_with_its_bound() -> None:
    results = build_results()
    ask(results, {CHOSEN: (80, 50), SMALLER: (95, 50)})
    finding = find_reserve(results)["final.bound_not_taken"]
    smaller = results["compress"]["candidates"][SMALLER]
    assert finding.values["bound"].raw == smaller["drop_bound"] > 1.0
    english, persian = say(finding)
    assert "0.88 KB was within the allowed 1.0 points on validation as well, with a drop of 0.90 points" in english
    assert f"up to {smaller['drop_bound']:.2f} points" in english
    assert "۰٫۸۸" in persian
    # Larger than the chosen one: nothing to explain.
    smaller["num_bytes"] = 1001
    assert list(find_reserve(results)) == ["final.bound_kept"]


@pytest.mark.parametrize(
    ("others", "key"),
    [
        pytest.param((120, 50), "final.bound_missed", id="no candidate keeps it"),
        pytest.param((0, 0), "final.bound_forgone", id="the one that keeps it is nine times as large"),
    ],
)
def test_a_file_without_the_reserve_is_said_to_lack_it_and_why(others: tuple[int, int], key: str) -> None:
    results = build_results()
    ask(results, {0: others, CHOSEN: (95, 50), SMALLER: (200, 0)})
    found = find_reserve(results)
    assert list(found) == [key]
    reserve = results["compress"]["reserve"]
    assert found[key].values["bound"].raw == reserve["drop_bound"] > 1.0
    assert found[key].values["reached"].raw == reserve["reached_confidence"] < 0.95
    english, persian = say(found[key])
    assert f"with {100 * reserve['reached_confidence']:.2f} % alone" in english
    assert ("of 8.79 KB, is 9.0 times as large" in english) == (key == "final.bound_forgone")
    assert ("۹٫۰ برابر" in persian) == (key == "final.bound_forgone")


def test_too_few_pictures_are_said_to_be_too_few() -> None:
    results = build_results()
    ask(results, {CHOSEN: (1, 0), SMALLER: (1, 0)}, num_pictures=150)
    found = find_reserve(results)
    assert list(found) == ["final.bound_undecidable"]
    english, persian = say(found["final.bound_undecidable"])
    assert "150 validation pictures are too few to tell" in english
    assert f"at most {results['compress']['reserve']['drop_bound']:.2f} points" in english
    assert "۱۵۰" in persian


@pytest.mark.slow
def test_the_method_tells_what_was_asked(tmp_path: Path) -> None:
    results = build_results()
    ask(results, {CHOSEN: (80, 50)})
    assert "with a one-sided confidence of 95 %" in read_method(results, ENGLISH, tmp_path)
    assert "با اطمینان یک‌طرفهٔ ۹۵ درصد" in read_method(results, PERSIAN, tmp_path)
    results["compress"]["reserve"]["confidence"] = 0.9
    assert "with a one-sided confidence of 90 %" in read_method(results, ENGLISH, tmp_path)
    ask(results, {}, num_pictures=150)
    assert "The 150 validation pictures of this study are too few" in read_method(results, ENGLISH, tmp_path)
    assert "the bound is 1.77 points" in read_method(results, ENGLISH, tmp_path)
    assert "۱٫۷۷ واحد درصد" in read_method(results, PERSIAN, tmp_path)


def test_a_result_that_recorded_neither_reserve_says_nothing_of_it(tmp_path: Path) -> None:
    results = build_results()
    del results["compress"]["reserve_shares"]
    assert find_reserve(results) == {}
    assert "reserve" not in read_method(results, ENGLISH, tmp_path)
    del results["compress"]
    assert find_reserve(results) == {}
    assert "reserve" not in read_method(results, ENGLISH, tmp_path)
