"""A number brings its word: a drop or a gain, smaller or larger, and why two accuracies of one network differ."""

from __future__ import annotations

from tests.worker.report.small_study import build_results
from tests.worker.report.test_analysis import (
    find_all,
    say,
    set_size,
    set_test,
    set_validation,
    set_width,
    set_width_tests,
)


def test_a_gain_is_called_a_gain_and_a_drop_a_drop() -> None:
    results = build_results()
    english, persian = say(find_all(results)["final.within"])
    assert english.endswith("on validation it shows a drop of 0.60 points.")
    assert "افت ۰٫۶۰ واحد درصد" in persian
    set_validation(results, "compress", 465)
    set_test(results, "compress", 930)
    found = find_all(results)
    english, persian = say(found["final.within"])
    assert english.endswith("on validation it shows a gain of 2.00 points.")
    assert "افزایش ۲٫۰۰ واحد درصد" in persian
    assert "a gain of 3.00 points: within" in say(found["test.within"])[0]


def test_a_file_that_is_larger_than_the_checkpoint_is_called_larger() -> None:
    results = build_results()
    assert "40.0 times smaller than the float32 checkpoint" in say(find_all(results)["final.within"])[0]
    set_size(results, "compress", "file", 50_000)
    for key in ("final.within", "conclude.final.lost"):
        english, persian = say(find_all(results)[key])
        assert "1.2 times larger than the float32 checkpoint" in english
        assert "۱٫۲ برابر بزرگ‌تر" in persian


def test_work_and_time_are_printed_with_the_digits_that_their_size_needs() -> None:
    results = build_results()
    assert "fall from 8,300 to 2,100, by a factor of 3.95" in say(find_all(results)["channels.narrowed"])[0]
    results["channels"]["baseline_latency"]["median_ms"] = 0.132
    results["channels"]["latency"]["median_ms"] = 0.11
    english, persian = say(find_all(results)["channels.faster"])
    assert "takes 0.110 ms (median) instead of 0.132 ms, 1.20 times faster" in english
    assert "۰٫۱۱۰ میلی‌ثانیه" in persian


def test_a_share_of_channels_that_was_asked_for_is_not_called_within_the_drop() -> None:
    results = build_results()
    assert "channels.beyond" not in find_all(results)
    set_validation(results, "channels", 400)
    english, persian = say(find_all(results)["channels.beyond"])
    assert english.startswith("On validation it shows a drop of 11.00 points, more than the 1.0 points allowed")
    assert "افت ۱۱٫۰۰ واحد درصد" in persian


def test_two_accuracies_of_one_network_are_explained_where_they_differ() -> None:
    results = build_results()
    assert not [key for key in find_all(results) if key.endswith("measured_again")]
    results["train"]["precision"] = "bfloat16"
    results["train"]["history"][1]["validation_accuracy"] = 0.908
    english, persian = say(find_all(results)["fit.measured_again"])
    assert english == (
        "The 90.80 % were counted while training, in `bfloat16`; the stored network is measured in float32, which "
        "gives 91.00 % on validation."
    )
    assert "۹۰٫۸۰" in persian
    assert "۹۱٫۰۰" in persian
    set_width(results, 0, validation=455)
    english, persian = say(find_all(results)["widest.measured_again"])
    assert "counted 91.20 % on validation" in english
    assert english.endswith("counts 91.00 %.")
    assert "۹۱٫۲۰" in persian


def test_the_best_width_is_the_one_of_the_smallest_file_and_not_the_narrowest() -> None:
    results = build_results()
    set_width(results, 2, validation=455)
    assert find_all(results)["quantize.best"].values["bits"].raw == 2
    for entry in results["quantize"]["widths"][2]["size"]["entries"]:
        if entry["measure"] == "file":
            entry["bytes"] = 5000
    found = find_all(results)
    assert found["quantize.best"].values["bits"].raw == 4
    assert "smallest quantized file within 1.0 points on validation has 4 bits" in say(found["conclude.width.lost"])[0]


def test_a_gain_by_quantization_is_given_no_cause_that_no_control_shows() -> None:
    results = build_results()
    set_width_tests(results, 901, 898, 930)
    assert "no control of this study tells" in say(find_all(results)["quantize.gain"])[0]
