"""What is said of classes and of the mistakes between them follows from the counts, ties and single mistakes too."""

from __future__ import annotations

from tests.worker.report.small_study import CLASSES, ENGLISH, PERSIAN, build_facts, build_results
from tests.worker.report.test_analysis import find_all, say, set_matrix
from worker.report.analysis.classes import analyse_confusions
from worker.report.analysis.evidence import read_evidence


def test_a_changed_count_is_read_in_the_sentence_of_both_languages() -> None:
    results = build_results()
    english, persian = say(find_all(results)["classes.pair"])
    assert english == (
        "*Shirt* and *Coat* are confused most: 40 pictures of *Shirt* were taken for *Coat* and 30 the other way "
        "round, together 70 of 100 mistakes (70.00 %)."
    )
    assert "۴۰ تصویر «پیراهن» به‌جای «کت» و ۳۰ تصویر" in persian
    results["train"]["confusion_matrix"][0][1] = 65
    english, persian = say(find_all(results)["classes.pair"])
    assert "65 pictures of *Shirt* were taken for *Coat*" in english
    assert "۶۵ تصویر «پیراهن» به‌جای «کت»" in persian


def test_mistakes_in_many_pairs_alike_are_spread() -> None:
    results = build_results()
    size = 12
    results["train"]["confusion_matrix"] = [[50 if a == b else 1 for b in range(size)] for a in range(size)]
    names = [f"c{label}" for label in range(size)]
    row = {"precision": 0.8, "recall": 0.8, "f1-score": 0.8, "support": 61.0}
    average = results["train"]["classification_report"]["macro avg"]
    results["train"]["classification_report"] = dict.fromkeys(names, row) | {"macro avg": average}
    del results["compress"]
    found = find_all(results)
    assert "classes.spread" in found
    assert found["classes.spread"].values["possible"].raw == 66


def test_a_perfect_network_has_no_worst_class_and_no_pairs() -> None:
    results = build_results()
    set_matrix(results, [330, 0, 0], [0, 335, 0], [0, 0, 335])
    assert {key for key in find_all(results) if key.startswith("classes.")} == {
        "classes.no_errors",
        "classes.none_hurt",  # Of compression, whose matrix is another one.
    }


def test_a_single_mistake_makes_no_pair_and_no_weakness() -> None:
    results = build_results()
    set_matrix(results, [330, 0, 0], [0, 334, 1], [0, 0, 335])
    found = find_all(results)
    assert found["classes.one_error"].say(ENGLISH) == (
        "A single picture of the test set was misclassified: one of *Coat* was taken for *Bag*."
    )
    assert "تصویری از «کت» که به‌جای «کیف» گرفته شده" in found["classes.one_error"].say(PERSIAN)
    assert not [key for key in found if key.startswith(("classes.weak", "classes.next", "classes.conc"))]


def test_classes_that_are_known_equally_well_have_no_best_and_no_worst() -> None:
    results = build_results()
    for name in CLASSES:
        results["train"]["classification_report"][name]["f1-score"] = 0.9
    found = find_all(results)
    assert "classes.alike" in found
    assert "classes.extremes" not in found


def test_where_the_next_places_are_shared_no_pair_is_passed_over() -> None:
    def find_next(*totals: int) -> bool:
        """totals: mistakes of the pairs (0, 1), (0, 2), (0, 3) …"""
        size = len(totals) + 1
        matrix = [[50 if a == b else 0 for b in range(size)] for a in range(size)]
        for other, total in enumerate(totals, start=1):
            matrix[0][other] = total
        results = build_results()
        results["train"]["confusion_matrix"] = matrix
        labels = tuple(f"c{label}" for label in range(size))
        findings = analyse_confusions(read_evidence(build_facts(results)).baseline, labels)
        return "classes.next_pairs" in {finding.key for finding in findings}

    assert find_next(9, 5, 3, 2)
    assert not find_next(9, 5, 3, 3)
    assert not find_next(9, 9, 3, 2)


def test_that_mistakes_are_concentrated_is_said_only_where_the_pairs_could_be_many() -> None:
    def find_shapes(size: int, mistakes: dict[tuple[int, int], int]) -> set[str]:
        matrix = [[50 if a == b else mistakes.get((a, b), 0) for b in range(size)] for a in range(size)]
        results = build_results()
        results["train"]["confusion_matrix"] = matrix
        labels = tuple(f"c{label}" for label in range(size))
        findings = analyse_confusions(read_evidence(build_facts(results)).baseline, labels)
        return {finding.key for finding in findings} & {"classes.concentrated", "classes.spread", "classes.few_pairs"}

    assert find_shapes(4, {(0, 1): 5, (2, 3): 2}) == set()  # Five of six pairs have most of the mistakes anyway.
    assert find_shapes(8, {(0, 1): 5, (2, 3): 2}) == {"classes.few_pairs"}
    assert find_shapes(8, {(0, other): 9 - other for other in range(1, 8)}) == {"classes.concentrated"}


def test_the_class_that_compression_cost_most_is_named_unless_the_loss_is_negligible() -> None:
    results = build_results()
    assert "classes.none_hurt" in find_all(results)
    results["compress"]["classification_report"]["Bag"]["f1-score"] = 0.8
    assert find_all(results)["classes.most_hurt"].values["worst"].raw == "Bag"
