"""What is said of the final file and of the controls holds where the run took an unusual turn."""

from __future__ import annotations

import pytest

from tests.worker.report.small_study import ENGLISH, PERSIAN, build_facts, build_results
from tests.worker.report.test_analysis import Results, find_all, keep_calibrated, set_layers, set_size
from worker.report.analysis.evidence import read_evidence
from worker.report.language.wording import strip_isolates


def prune_nothing(results: Results, step: str) -> None:
    results[step]["chosen"]["sparsity"] = 0.0
    set_layers(results, step, 0.0)


def test_a_smaller_candidate_within_the_drop_that_was_not_taken_is_explained_by_the_reserve() -> None:
    results = build_results()
    assert "final.reserve" not in find_all(results)
    # 0.9 points of 1.0: within the drop, not within what 15 % of reserve leave of it.
    results["compress"]["candidates"][2].update(drop=0.9, within=True)
    finding = find_all(results)["final.reserve"]
    assert finding.say(ENGLISH) == (
        "A smaller candidate of 0.88 KB was within the allowed 1.0 points as well, with a validation drop of 0.90 "
        "points. It was not taken: for a file of its kind 15 % of the drop is a reserve, which leaves 0.85 points."
    )
    assert "۱۵ درصد افت مجاز" in strip_isolates(finding.say(PERSIAN))
    results["compress"]["candidates"][2]["trade_off"] = 1e-6
    assert "30 % of the drop is a reserve" in find_all(results)["final.reserve"].say(ENGLISH)
    results["compress"]["reserve_shares"]["rounded"] = 0.4
    assert "leaves 0.60 points" in find_all(results)["final.reserve"].say(ENGLISH)
    # Larger than what was taken, or of a run that recorded no reserve: nothing to explain.
    results["compress"]["candidates"][2]["num_bytes"] = 1100
    assert "final.reserve" not in find_all(results)
    results = build_results()
    results["compress"]["candidates"][2].update(within=True)
    del results["compress"]["reserve_shares"]
    assert "final.reserve" not in find_all(results)


@pytest.mark.parametrize("file_bytes", [900, 4500, 9000])
def test_a_file_that_was_calibrated_alone_is_never_called_a_combination(file_bytes: int) -> None:
    results = build_results()
    keep_calibrated(results)
    set_size(results, "compress", "file", file_bytes)
    for language, words in ((ENGLISH, ("combin", "together", "All methods")), (PERSIAN, ("ترکیب", "با هم فایلی"))):
        said = [finding.say(language) for key, finding in find_all(results).items() if "final" in key]
        assert [sentence for sentence in said if any(word in sentence for word in words)] == []


def test_controls_of_a_pruning_that_pruned_nothing_are_called_that() -> None:
    results = build_results()
    prune_nothing(results, "step_by_step")
    found = find_all(results)
    assert {"controls.moot", "compare.unpruned"} <= set(found)
    said = ("control_unpruned", "control_random", "compare.packed", "compare.accuracy")
    assert [key for key in found if key.startswith(said)] == []
    assert "control_small_dense.higher" in found
    assert "with 0.00 % zeros" in found["controls.moot"].say(ENGLISH)
    assert "با ۰٫۰۰ درصد صفر" in strip_isolates(found["controls.moot"].say(PERSIAN))
    assert "controls.moot" not in find_all(build_results())


def test_one_shot_pruning_of_nothing_is_not_compared_either() -> None:
    results = build_results()
    prune_nothing(results, "one_shot")
    found = find_all(results)
    assert "compare.unpruned" in found
    assert [key for key in found if key.startswith(("compare.packed", "compare.accuracy", "controls.moot"))] == []


@pytest.mark.parametrize(
    ("file_bytes", "key", "english", "persian"),
    [
        # The compressed file has 1,000 bytes, 0.98 KB.
        (1149, None, "", ""),
        (4000, "control_small_dense.larger", "takes 4.0 times the 0.98 KB", "۴٫۰ برابر فایل فشرده"),
        (500, "control_small_dense.smaller", "is 2.0 times smaller", "۲٫۰ برابر کوچک‌تر"),
        (871, None, "", ""),
    ],
)
def test_a_small_dense_network_of_other_bytes_is_called_that(
    file_bytes: int, key: str | None, english: str, persian: str
) -> None:
    results = build_results()
    set_size(results, "control_small_dense", "file", file_bytes)
    found = find_all(results)
    told = [one for one in found if one in ("control_small_dense.larger", "control_small_dense.smaller")]
    assert told == ([] if key is None else [key])
    if key is not None:
        assert english in found[key].say(ENGLISH)
        assert persian in strip_isolates(found[key].say(PERSIAN))


def test_float32_is_the_checkpoint_that_ratios_are_against_for_a_narrowed_network_too() -> None:
    results = build_results()
    set_size(results, "channels", "float32", 10_000)  # as earlier versions recorded it
    channels = read_evidence(build_facts(results)).channels
    assert channels is not None
    assert channels.sizes["float32"] == channels.reference_bytes == 40_000
