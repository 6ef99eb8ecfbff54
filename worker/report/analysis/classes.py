"""The analysis of classes: which are known well, which are taken for which. See `analysis`, whose rules hold here."""

from __future__ import annotations

from collections.abc import Sequence

from worker.report.analysis.claims import cite
from worker.report.analysis.confusions import Pair, count_errors, rank_pairs
from worker.report.analysis.evidence import Evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import Model
from worker.report.language.values import class_name, count, decimals, percent

WORST_PAIRS, CONCENTRATED = 5, 0.5
"""Share of all mistakes that so many pairs make, from which on mistakes are called concentrated."""
NEARLY = 0.05
"""Counts that differ by no more than this share of the larger are called about the same."""
NOTABLE_F1 = 0.005


def analyse_classes(evidence: Evidence) -> list[Finding]:
    """Which classes the trained network knows best and least, and which it mistakes for which."""
    baseline, labels = evidence.baseline, evidence.class_names
    errors = count_errors(baseline.matrix)
    if errors == 0:
        return analyse_confusions(baseline, labels)
    scores = {label: baseline.class_scores[label]["f1-score"] for label in labels}
    best, worst = max(scores, key=lambda label: scores[label]), min(scores, key=lambda label: scores[label])
    source = cite(baseline, "classification_report")
    if round(scores[best] - scores[worst], 3) == 0:
        return [Finding("classes.alike", {"f1": decimals(scores[best])}, source), *analyse_confusions(baseline, labels)]
    values = {
        "best": class_name(best),
        "best_f1": decimals(scores[best]),
        "worst": class_name(worst),
        "worst_f1": decimals(scores[worst]),
    }
    findings = [Finding("classes.extremes", values, source), *analyse_confusions(baseline, labels)]
    return findings if errors == 1 else [*findings, _describe_weakest(baseline, worst, labels.index(worst))]


def _describe_weakest(model: Model, name: str, label: int) -> Finding:
    """Whether the class loses more pictures than it attracts, by the counts."""
    matrix = model.matrix
    lost = sum(matrix[label]) - matrix[label][label]
    attracted = sum(row[label] for row in matrix) - matrix[label][label]
    is_near = abs(lost - attracted) <= NEARLY * max(lost, attracted)
    leaning = "equal" if lost == attracted else "both" if is_near else "recall" if lost > attracted else "precision"
    values = {
        "worst": class_name(name),
        "precision": decimals(model.class_scores[name]["precision"]),
        "recall": decimals(model.class_scores[name]["recall"]),
        "lost": count(lost),
    }
    if leaning != "equal":
        values["attracted"] = count(attracted)
    source = f"{cite(model, 'classification_report')}; {cite(model, 'confusion_matrix')}"
    return Finding(f"classes.weak_{leaning}", values, source)


def analyse_confusions(model: Model, labels: tuple[str, ...]) -> list[Finding]:
    """The pairs that make most of the mistakes."""
    errors, pairs = count_errors(model.matrix), rank_pairs(model.matrix, labels)
    source = cite(model, "confusion_matrix")
    if not pairs:
        return [Finding("classes.no_errors", {}, source)]
    first = pairs[0]
    if errors == 1:
        values = {"one": class_name(first.one), "other": class_name(first.other)}
        return [Finding("classes.one_error", values, source)]
    tied = sum(pair.total == first.total for pair in pairs)
    findings = [_name_first_pairs(pairs, tied, errors, source)]
    # Whoever shares a place with a pair that is not named would be passed over in silence.
    if tied == 1 and len(pairs) >= 3 and (len(pairs) == 3 or pairs[2].total > pairs[3].total):
        second, third = pairs[1:3]
        values = {
            "one": class_name(second.one),
            "other": class_name(second.other),
            "total": count(second.total),
            "third_one": class_name(third.one),
            "third_other": class_name(third.other),
            "third_total": count(third.total),
        }
        findings.append(Finding("classes.next_pairs", values, source))
    possible = len(labels) * (len(labels) - 1) // 2
    if CONCENTRATED * possible <= WORST_PAIRS:
        return findings  # Of so few pairs, five have most of the mistakes however they are spread.
    if len(pairs) <= WORST_PAIRS:
        values = {"pairs": count(len(pairs)), "possible": count(possible)}
        return [*findings, Finding("classes.few_pairs", values, source)]
    share = sum(pair.total for pair in pairs[:WORST_PAIRS]) / errors
    shape = "concentrated" if share >= CONCENTRATED else "spread"
    values = {"share": percent(share), "possible": count(possible)}
    return [*findings, Finding(f"classes.{shape}", values, source)]


def _name_first_pairs(pairs: Sequence[Pair], tied: int, errors: int, source: str) -> Finding:
    """The pair that is confused most, or those that share the place."""
    first = pairs[0]
    values = {
        "one": class_name(first.one),
        "other": class_name(first.other),
        "total": count(first.total),
        "errors": count(errors),
    }
    if tied == 1:
        values |= {"forth": count(first.forth), "back": count(first.back), "share": percent(first.total / errors)}
        return Finding("classes.pair" if first.forth > 1 else "classes.pair_once", values, source)
    values |= {"second_one": class_name(pairs[1].one), "second_other": class_name(pairs[1].other)}
    if tied == 2:
        return Finding("classes.two_pairs", values, source)
    return Finding("classes.many_pairs", values | {"pairs": count(tied)}, source)


def analyse_final_classes(evidence: Evidence) -> list[Finding]:
    """Which class compression cost most."""
    final, baseline = evidence.final, evidence.baseline
    if final is None:
        return []
    before, after = baseline.class_scores, final.class_scores
    falls = {label: before[label]["f1-score"] - after[label]["f1-score"] for label in evidence.class_names}
    hurt = max(falls, key=lambda label: falls[label])
    source = f"{cite(baseline, 'classification_report')}; {cite(final, 'classification_report')}"
    if falls[hurt] <= NOTABLE_F1:
        return [Finding("classes.none_hurt", {"fall": decimals(max(0.0, falls[hurt]))}, source)]
    values = {
        "worst": class_name(hurt),
        "before": decimals(before[hurt]["f1-score"]),
        "after": decimals(after[hurt]["f1-score"]),
    }
    return [Finding("classes.most_hurt", values, source)]
