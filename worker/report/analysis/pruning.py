"""The analysis of pruning and of the final model. See `analysis`, whose rules hold here too."""

from __future__ import annotations

from worker.paired import is_within
from worker.report.analysis.claims import cite, describe_difference, say_drop
from worker.report.analysis.evidence import SAME_SPARSITY, Evidence, Order, compare
from worker.report.analysis.findings import Finding
from worker.report.analysis.reserve import analyse_reserve
from worker.report.analysis.results import Model
from worker.report.analysis.techniques import is_calibrated
from worker.report.language.values import (
    Value,
    change,
    code,
    count,
    kilobytes,
    limit,
    magnitude,
    percent,
    points,
    ratio,
    times_smaller,
)


def analyse_search(evidence: Evidence, model: Model | None, key: str) -> list[Finding]:
    """What a search for the highest sparsity found. key: `one_shot` or `step_by_step`, the prefix of its sentences."""
    if model is None:
        return []
    allowed, chosen = {"limit": limit(evidence.max_drop)}, model.chosen_probe
    source = cite(model, "chosen")
    if chosen.sparsity < SAME_SPARSITY:
        return [Finding(f"{key}.none", allowed, source)]
    values = allowed | {
        "sparsity": percent(chosen.sparsity),
        "drop": change(chosen.drop),
        "fold": ratio(1 / (1 - chosen.sparsity)),
    }
    if key == "step_by_step":
        values["epochs"] = count(chosen.retrained_epochs)
    findings = [Finding(f"{key}.found" if chosen.within else f"{key}.beyond", values, source)]
    beyond = min(
        (probe for probe in model.curve if probe.sparsity > chosen.sparsity and not probe.within),
        key=lambda probe: probe.sparsity,
        default=None,
    )
    if beyond is not None:
        values = {"sparsity": percent(beyond.sparsity), "drop": points(beyond.drop)}
        findings.append(Finding(f"{key}.next", values, cite(model, "curve")))
    elif chosen.within:
        findings.append(Finding(f"{key}.ceiling", {"sparsity": percent(chosen.sparsity)}, cite(model, "curve")))
    findings.append(_confirm_on_test(evidence, model, was_within=chosen.within))
    return findings


def _confirm_on_test(evidence: Evidence, model: Model, *, was_within: bool) -> Finding:
    """Validation decided; whether test agrees is a finding of its own."""
    drop = evidence.drop(model)
    values = {"accuracy": percent(model.test.accuracy), "drop": change(drop), "limit": limit(evidence.max_drop)}
    keys = {(True, True): "within", (True, False): "beyond", (False, True): "only", (False, False): "neither"}
    return Finding(
        f"test.{keys[was_within, is_within(drop, evidence.max_drop)]}", values, cite(model, "evaluation.test")
    )


def compare_pruning(evidence: Evidence) -> list[Finding]:
    """One-shot beside step-by-step: sparsity, accuracy, bytes, and where the zeros lie."""
    one_shot, stepped = evidence.one_shot, evidence.step_by_step
    if one_shot is None or stepped is None:
        return []
    source = f"{cite(one_shot)}; {cite(stepped)}"
    difference = stepped.sparsity - one_shot.sparsity
    values = {"one_shot": percent(one_shot.sparsity), "step_by_step": percent(stepped.sparsity)}
    if abs(difference) < SAME_SPARSITY:
        findings = [Finding("compare.equal_sparsity", values, source)]
    else:
        dense, sparse = sorted((1 - one_shot.sparsity, 1 - stepped.sparsity), reverse=True)
        winner = "step_by_step" if difference > 0 else "one_shot"
        values["factor"] = Value("decimals1", dense / sparse)
        findings = [Finding(f"compare.sparser_{winner}", values, source)]
    if min(one_shot.sparsity, stepped.sparsity) < SAME_SPARSITY:
        # What is left is a network that was not pruned: its accuracy and bytes say nothing of a way of pruning.
        findings.append(Finding("compare.unpruned", {}, source))
    else:
        findings.append(_compare_accuracy(stepped, one_shot, source))
        findings.append(_compare_bytes(stepped, one_shot, source))
    for key, model in (("one_shot", one_shot), ("step_by_step", stepped)):
        if model.sparsity < SAME_SPARSITY:
            continue
        most = max(model.layers, key=lambda layer: layer.sparsity)
        least = min(model.layers, key=lambda layer: layer.sparsity)
        values = {
            "most": code(most.name),
            "most_sparsity": percent(most.sparsity),
            "least": code(least.name),
            "least_sparsity": percent(least.sparsity),
        }
        findings.append(Finding(f"layers.{key}", values, cite(model, "sparsity.layers")))
    return findings


def _compare_accuracy(stepped: Model, one_shot: Model, source: str) -> Finding:
    order = compare(stepped.test, one_shot.test)
    key = {Order.HIGHER: "accuracy_step_by_step", Order.LOWER: "accuracy_one_shot", Order.SAME: "accuracy_same"}[order]
    return Finding(f"compare.{key}", describe_difference(stepped, one_shot), source)


def _compare_bytes(stepped: Model, one_shot: Model, source: str) -> Finding:
    sizes = {"step_by_step": stepped.sizes["packed"], "one_shot": one_shot.sizes["packed"]}
    small = min(sizes, key=lambda name: sizes[name])
    factor = max(sizes.values()) / min(sizes.values())
    key = "packed_same" if factor < 1.01 else f"packed_{small}"
    values = {name: kilobytes(size) for name, size in sizes.items()}
    if key != "packed_same":
        values["factor"] = Value("decimals1", factor)
    return Finding(f"compare.{key}", values, source)


def analyse_plain_files(evidence: Evidence) -> list[Finding]:
    """Whether zeros alone made any file smaller: they do not, and the report says it where it is so."""
    pruned = [model for model in (evidence.step_by_step, evidence.one_shot) if model is not None]
    model = max(pruned, key=lambda one: one.sparsity, default=None)
    if model is None or model.sparsity < SAME_SPARSITY:
        return []
    shrunk = model.file_bytes < 0.95 * model.reference_bytes
    key = "files.pruned_smaller" if shrunk else "files.pruned_unchanged"
    values = {
        "sparsity": percent(model.sparsity),
        "file": kilobytes(model.file_bytes),
        "reference": kilobytes(model.reference_bytes),
        "packed": kilobytes(model.sizes["packed"]),
    }
    return [Finding(key, values, cite(model, "size"))]


def analyse_final(evidence: Evidence) -> list[Finding]:
    """Whether compression paid: the file against the checkpoint, against the best width, and its accuracy."""
    final = evidence.final
    if final is None:
        return []
    within = evidence.is_within(final)
    values = {
        "kilobytes": kilobytes(final.file_bytes),
        "ratio": times_smaller(final.ratio),
        "drop": change(evidence.drop(final, "validation")),
        "limit": limit(evidence.max_drop),
    }
    findings = [Finding("final.within" if within else "final.beyond", values, cite(final, "evaluation.validation"))]
    findings.append(_confirm_on_test(evidence, final, was_within=within))
    order = compare(final.test, evidence.baseline.test)
    difference = describe_difference(final, evidence.baseline)
    values = {name: difference[name] for name in ("difference", "low", "high", "basis")}
    findings.append(Finding(f"final.{order}", values, f"{cite(final)}; {cite(evidence.baseline)}"))
    findings += analyse_reserve(evidence, final)
    best = evidence.best_width
    if best is not None:
        narrow = evidence.widths[best]
        factor = narrow.file_bytes / final.file_bytes
        key = "smaller" if factor > 1.01 else "larger" if factor < 0.99 else "as_large"
        values = {"bits": count(best), "kilobytes": kilobytes(narrow.file_bytes)}
        if key != "as_large":
            values["factor"] = Value("decimals1", max(factor, 1 / factor))
        way = "calibrated_than_width" if is_calibrated(final.step) else "than_width"
        findings.append(Finding(f"final.{way}_{key}", values, f"{cite(final, 'size')}; {cite(narrow, 'size')}"))
    return findings


def analyse_sizes(evidence: Evidence) -> list[Finding]:
    """The formula of the neurons beside the bytes on disk, for the best width and for the final model."""
    findings = []
    chosen = [] if evidence.best_width is None else [("width", evidence.widths[evidence.best_width])]
    chosen += [] if evidence.final is None else [("final", evidence.final)]
    for name, model in chosen:
        formula, file = model.sizes["formula"], model.file_bytes
        key = "below" if file < formula else "above"
        values = {
            "formula": kilobytes(formula),
            "file": kilobytes(file),
            "share": magnitude(100 * abs(formula - file) / formula),
        }
        if name == "width":
            values["bits"] = count(evidence.best_width)
        findings.append(Finding(f"sizes.{name}_{key}", values, cite(model, "size")))
    return findings


def conclude(evidence: Evidence) -> list[Finding]:
    """The answers in one sentence each, for abstract and conclusion."""
    baseline = evidence.baseline
    low, high = baseline.test.interval
    values = {
        "accuracy": percent(baseline.test.accuracy),
        "low": percent(low),
        "high": percent(high),
        "examples": count(baseline.test.num_examples),
    }
    findings = [Finding("conclude.baseline", values, cite(baseline, "evaluation.test"))]
    one_shot, stepped = evidence.one_shot, evidence.step_by_step
    if one_shot is not None and stepped is not None:
        values = {
            "one_shot": percent(one_shot.sparsity),
            "step_by_step": percent(stepped.sparsity),
            "limit": limit(evidence.max_drop),
        }
        findings.append(Finding("conclude.pruning", values, f"{cite(one_shot, 'chosen')}; {cite(stepped, 'chosen')}"))
    best = evidence.best_width
    if best is not None:
        model = evidence.widths[best]
        drop = evidence.drop(model)
        values = {"bits": count(best), "accuracy": percent(model.test.accuracy), "limit": limit(evidence.max_drop)}
        if round(drop, 2):
            values["drop"] = magnitude(drop)
        findings.append(Finding(say_drop("conclude.width", drop), values, cite(model, "evaluation")))
    elif evidence.widths:
        source = "; ".join(cite(model, "evaluation.validation") for model in evidence.widths.values())
        findings.append(Finding("conclude.no_width", {"limit": limit(evidence.max_drop)}, source))
    final = evidence.final
    if final is not None:
        drop = evidence.drop(final)
        values = {
            "kilobytes": kilobytes(final.file_bytes),
            "ratio": times_smaller(final.ratio),
            "accuracy": percent(final.test.accuracy),
        }
        if round(drop, 2):
            values["drop"] = magnitude(drop)
        way = "conclude.final.calibrated" if is_calibrated(final.step) else "conclude.final"
        findings.append(Finding(say_drop(way, drop), values, cite(final)))
    return findings
