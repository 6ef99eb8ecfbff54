"""The analysis: evidence in, findings out. No sentence is chosen anywhere else, and each is chosen by numbers alone.

Differences of accuracy are called differences only where a test on the same pictures tells them from chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from worker.controls import CONTROLS, ControlKind
from worker.paired import compute_difference
from worker.report.analysis.evidence import Evidence, Order, compare
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import FileControl, Latency, Measured, Model, measure
from worker.report.language.values import (
    Value,
    basis,
    change,
    code,
    count,
    decimals,
    kilobytes,
    limit,
    magnitude,
    percent,
    points,
    significant,
    term,
    times_smaller,
)

SMALL_GAP, LARGE_GAP = 1.0, 4.0
"""Points between train and validation accuracy."""
SAME_SIZE = 1.15
"""Files whose bytes differ by a larger factor are not called about as large."""


def cite(model: Model, part: str = "") -> str:
    """Where numbers of a model come from."""
    return f"`{model.step.job_id}` · `{model.where}{'.' if part else ''}{part}`"


def say_drop(key: str, drop: float) -> str:
    """The key of a sentence about a loss, a gain, or neither, to the two decimals that are printed."""
    rounded = round(drop, 2)
    return f"{key}.{'equal' if rounded == 0 else 'lost' if rounded > 0 else 'gained'}"


def describe_difference(one: Model | FileControl, other: Model | FileControl) -> dict[str, Value]:
    """accuracy of both on test, the interval of the difference in points, and what it rests on."""
    difference = compute_difference(one.test, other.test)
    return {
        "accuracy": percent(one.test.accuracy),
        "other": percent(other.test.accuracy),
        "difference": points(100 * difference.value),
        "low": points(100 * difference.low),
        "high": points(100 * difference.high),
        "basis": basis(difference),
    }


def analyse_fit(evidence: Evidence) -> list[Finding]:
    """Whether the network reaches the floor, and whether it was trained long enough."""
    baseline = evidence.baseline
    findings = []
    low, high = baseline.test.interval
    source = cite(baseline, "evaluation.test")
    if evidence.floor is not None:
        floor, accuracy = evidence.floor, baseline.test.accuracy
        verdict = (
            "clear" if low >= floor else "reached" if accuracy >= floor else "missed" if high >= floor else "failed"
        )
        findings.append(
            Finding(
                f"floor.{verdict}",
                {"accuracy": percent(accuracy), "floor": percent(floor), "low": percent(low), "high": percent(high)},
                source,
            )
        )
    history, best = baseline.history, baseline.best_epoch
    if not history:
        return findings
    source = cite(baseline, "history")
    findings.append(_describe_end(baseline, source))
    row = next(row for row in history if row["epoch"] == best)
    gap = 100 * (row["train_accuracy"] - row["validation_accuracy"])
    size = "large" if gap > LARGE_GAP else "medium" if gap > SMALL_GAP else "small" if gap >= 0 else "negative"
    values = {
        "train": percent(row["train_accuracy"]),
        "validation": percent(row["validation_accuracy"]),
        "gap": magnitude(gap),
    }
    if round(gap, 2) == 0:
        size, values = "none", {"validation": percent(row["validation_accuracy"])}
    findings.append(Finding(f"fit.gap_{size}", values, source))
    precision, stored = baseline.precision, baseline.validation
    if precision != "float32" and round(row["validation_accuracy"] * stored.num_examples) != stored.num_correct:
        values = {
            "training": percent(row["validation_accuracy"]),
            "precision": code(precision),
            "stored": percent(stored.accuracy),
        }
        both = f"{source}; {cite(baseline, 'evaluation.validation')}; {cite(baseline, 'precision')}"
        findings.append(Finding("fit.measured_again", values, both))
    return findings


def _describe_end(baseline: Model, source: str) -> Finding:
    """Whether more epochs promised more: only where the last one is distinguishably the best on validation.

    A falling validation loss is no evidence of it: it goes up and down by chance too, and has no interval here.
    """
    history, best = baseline.history, baseline.best_epoch
    last = history[-1]["epoch"]
    if best != last:
        return Finding("fit.peaked", {"best": count(best), "epochs": count(last)}, source)
    if len(history) == 1:
        return Finding("fit.one_epoch", {}, source)
    before = max(history[:-1], key=lambda row: row["validation_accuracy"])
    rows, num_examples = (history[-1], before), baseline.validation.num_examples
    final, earlier = (_measure_epoch(row, num_examples) for row in rows)
    values = {
        "epochs": count(last),
        "accuracy": percent(final.accuracy),
        "other": percent(earlier.accuracy),
        "earlier": count(before["epoch"]),
    }
    is_better = compare(final, earlier) is Order.HIGHER
    return Finding("fit.still_improving" if is_better else "fit.best_last", values, source)


def _measure_epoch(row: Mapping[str, float], num_examples: int) -> Measured:
    num_correct = round(row["validation_accuracy"] * num_examples)
    return measure(num_correct, num_examples, row["validation_loss"])


def analyse_quantization(evidence: Evidence) -> list[Finding]:
    """What each width costs, where the cliff is, and which width is best within the drop."""
    findings = []
    for bits, model in evidence.widths.items():
        order = compare(model.test, evidence.baseline.test)
        key = {Order.SAME: "free", Order.LOWER: "cost", Order.HIGHER: "gain"}[order]
        difference = describe_difference(model, evidence.baseline)
        values = {name: difference[name] for name in ("accuracy", "difference", "low", "high", "basis")}
        findings.append(Finding(f"quantize.{key}", {"bits": count(bits), **values}, cite(model, "evaluation.test")))
    if not evidence.widths:
        return findings
    findings += _find_cliff(evidence)
    best, allowed = evidence.best_width, {"limit": limit(evidence.max_drop)}
    source = "; ".join(cite(model, "evaluation.validation") for model in evidence.widths.values())
    if best is None:
        return [*findings, Finding("quantize.none", allowed, source), _find_lossless(evidence)]
    model = evidence.widths[best]
    values = allowed | {
        "bits": count(best),
        "drop": change(evidence.drop(model, "validation")),
        "kilobytes": kilobytes(model.file_bytes),
        "ratio": times_smaller(model.ratio),
    }
    return [*findings, Finding("quantize.best", values, source), _find_lossless(evidence)]


def _find_lossless(evidence: Evidence) -> Finding:
    """The narrowest width that costs nothing to be seen on test: the drop that was allowed is not always wanted."""
    baseline = evidence.baseline
    free = [bits for bits, model in evidence.widths.items() if compare(model.test, baseline.test) is not Order.LOWER]
    source = "; ".join(cite(model, "evaluation.test") for model in (baseline, *evidence.widths.values()))
    if not free:
        return Finding("quantize.all_lose", {}, source)
    bits = min(free)
    if bits == evidence.best_width:
        return Finding("quantize.no_loss_too", {"bits": count(bits)}, source)
    model = evidence.widths[bits]
    difference = describe_difference(model, baseline)
    values = {name: difference[name] for name in ("difference", "low", "high", "basis")} | {
        "bits": count(bits),
        "kilobytes": kilobytes(model.file_bytes),
        "ratio": times_smaller(model.ratio),
    }
    return Finding("quantize.no_loss", values, source)


def analyse_widest(evidence: Evidence) -> list[Finding]:
    """Why the training curve of the widest width and its file do not end at one accuracy."""
    model = next(iter(evidence.widths.values()))
    best = max((row["validation_accuracy"] for row in model.history), default=None)
    if best is None or round(best * model.validation.num_examples) == model.validation.num_correct:
        return []
    values = {"training": percent(best), "stored": percent(model.validation.accuracy)}
    source = f"{cite(model, 'history')}; {cite(model, 'evaluation.validation')}"
    return [Finding("widest.measured_again", values, source)]


def _find_cliff(evidence: Evidence) -> list[Finding]:
    widths = list(evidence.widths)
    if len(widths) < 2:
        return []
    accuracies = {bits: evidence.widths[bits].test.accuracy for bits in widths}
    steps = [(accuracies[wide] - accuracies[narrow], wide, narrow) for wide, narrow in pairwise(widths)]
    loss, wide, narrow = max(steps)
    source = cite(evidence.widths[wide], "evaluation.test")
    if compare(evidence.widths[wide].test, evidence.widths[narrow].test) is not Order.HIGHER:
        spread = 100 * (max(accuracies.values()) - min(accuracies.values()))
        return [Finding("quantize.no_cliff", {"spread": points(spread)}, source)]
    values = {"wide": count(wide), "narrow": count(narrow), "loss": points(100 * loss)}
    return [Finding("quantize.cliff", values, source)]


def analyse_channels(evidence: Evidence) -> list[Finding]:
    """Whether removing channels makes the network cheaper to run."""
    model = evidence.channels
    if model is None:
        return []
    source, before, after = cite(model, "chosen"), model.baseline_macs, model.macs
    chosen, asked = model.chosen_probe, model.step.spec.get("sparsity")
    if chosen.sparsity <= 0 or before == after:
        if asked is None:
            return [Finding("channels.none", {"limit": limit(evidence.max_drop)}, source)]
        return [Finding("channels.unchanged", {"sparsity": percent(asked), "macs": count(before)}, cite(model, "macs"))]
    drop = evidence.drop(model)
    findings = [
        Finding(
            "channels.narrowed",
            {
                "sparsity": percent(chosen.sparsity),
                "before": count(before),
                "after": count(after),
                "factor": decimals(before / after, 2),
            },
            source,
        ),
        Finding(say_drop("channels", drop), _drop_values(model, drop), cite(model, "evaluation.test")),
    ]
    if asked is not None and not evidence.is_within(model):
        values = {"drop": change(evidence.drop(model, "validation")), "limit": limit(evidence.max_drop)}
        findings.append(Finding("channels.beyond", values, cite(model, "evaluation.validation")))
    latency, reference = model.latency, model.baseline_latency
    if latency and reference and latency.machine == reference.machine:
        speed = reference.median_ms / latency.median_ms
        verdict = "faster" if speed > 1.05 else "slower" if speed < 0.95 else "as_fast"
        if _overlap(latency.interval_ms, reference.interval_ms):
            verdict = "as_fast"
        values = {
            "before": significant(reference.median_ms),
            "after": significant(latency.median_ms),
            "batch": count(latency.batch_size),
            "factor": decimals(max(speed, 1 / speed), 2),
        }
        findings.append(Finding(f"channels.{verdict}", values, cite(model, "latency")))
        findings += _describe_load(model, latency)
    return findings


def _overlap(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    """Whether two intervals share a point; jobs of earlier versions recorded none."""
    return one is not None and other is not None and one[0] <= other[1] and other[0] <= one[1]


def _describe_load(model: Model, latency: Latency) -> list[Finding]:
    """Says so where the machine did something else while times were taken."""
    if not latency.is_busy:
        return []
    source = cite(model, "latency.load")
    if latency.other_cores is None:
        return [Finding("channels.jostled", {}, source)]
    return [Finding("channels.busy", {"cores": decimals(latency.other_cores, 1)}, source)]


def _drop_values(model: Model, drop: float) -> dict[str, Value]:
    values = {"accuracy": percent(model.test.accuracy)}
    return values if round(drop, 2) == 0 else values | {"drop": magnitude(drop)}


def analyse_controls(evidence: Evidence) -> list[Finding]:
    """Each claim beside its control; without controls, the report says that it has none."""
    claims = {
        ControlKind.UNPRUNED: evidence.step_by_step,
        ControlKind.RANDOM: evidence.step_by_step or evidence.one_shot,
        ControlKind.SMALL_DENSE: evidence.final,
    }
    findings = []
    for kind, control in evidence.controls.items():
        claim = claims[kind]
        if claim is None or (not CONTROLS[kind].is_fresh and evidence.is_control_moot):
            continue
        order = compare(claim.test, control.test)
        values = describe_difference(claim, control)
        if kind is ControlKind.RANDOM:
            values["sparsity"] = percent(control.sparsity)
            values["claim"] = term(f"model.{claim.step.name}")
        if kind is ControlKind.SMALL_DENSE:
            values["kilobytes"] = Value("kilobytes", control.file_bytes)
        findings.append(
            Finding(f"{kind.step}.{order}", values, f"{cite(claim, 'evaluation')}; {cite(control, 'evaluation')}")
        )
        if kind is ControlKind.SMALL_DENSE:
            findings += _compare_control_size(claim, control)
    stepped = evidence.step_by_step
    if evidence.controls and evidence.is_control_moot and stepped is not None:
        findings.insert(0, Finding("controls.moot", {"sparsity": percent(stepped.sparsity)}, cite(stepped, "sparsity")))
    if not evidence.file_controls:
        return findings or [Finding("controls.absent")]
    return [*findings, *analyse_file_controls(evidence)]


def analyse_file_controls(evidence: Evidence) -> list[Finding]:
    """The compressed file beside each of its own controls."""
    final, findings = evidence.final, []
    for control in evidence.file_controls:
        if final is None:
            break
        name, source = control.label, cite(final, "controls")
        if control.row.problems:
            findings.append(Finding("file_control.unsound", {"control": name}, source))
            continue
        values = {
            "control": name,
            "kilobytes": Value("kilobytes", control.row.num_bytes),
            "compressed": Value("kilobytes", final.file_bytes),
            **describe_difference(final, control),
        }
        findings.append(Finding(f"file_control.{compare(final.test, control.test)}", values, source))
    return findings


def _compare_control_size(claim: Model, control: Model) -> list[Finding]:
    """Says so where the small network has not about the bytes that it should have."""
    factor = control.file_bytes / claim.file_bytes
    if 1 / SAME_SIZE <= factor <= SAME_SIZE:
        return []
    values = {
        "factor": decimals(max(factor, 1 / factor), 1),
        "kilobytes": Value("kilobytes", control.file_bytes),
        "compressed": Value("kilobytes", claim.file_bytes),
    }
    size = "larger" if factor > 1 else "smaller"
    key = f"{ControlKind.SMALL_DENSE.step}.{size}"
    return [Finding(key, values, f"{cite(control, 'size')}; {cite(claim, 'size')}")]
