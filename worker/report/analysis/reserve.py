"""The analysis of the reserve that `compress` asked for, and of the smaller file that it did not take. See `analysis`.

Results of earlier versions recorded it as a share of the drop, later ones as a bound on the drop of new pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.report.analysis.claims import cite
from worker.report.analysis.evidence import Evidence, Model
from worker.report.analysis.findings import Finding
from worker.report.language.values import Value, change, count, kilobytes, limit, percent, plain, points


def describe_protocol(evidence: Evidence) -> list[Finding]:
    """What was asked of every candidate, before any was chosen. None where nothing was recorded."""
    final = evidence.final
    if final is None:
        return []
    shares, asked = evidence.reserves, _read_asked(final)
    if asked is not None:
        values = {"limit": limit(evidence.max_drop), "confidence": plain(100 * asked["confidence"])}
        if asked["is_decidable"]:
            return [Finding("protocol.bound", values, cite(final, "reserve"))]
        values |= {"pictures": count(asked["validation_pictures"]), "smallest": points(asked["smallest_drop_bound"])}
        return [Finding("protocol.undecidable", values, cite(final, "reserve"))]
    if shares:
        values = {
            "share": plain(100 * shares["trained"].share),
            "safe": points(shares["trained"].max_drop),
            "rounded_share": plain(100 * shares["rounded"].share),
            "rounded": points(shares["rounded"].max_drop),
        }
        return [Finding("protocol.reserve", values, cite(final, "reserve_shares"))]
    return []


def analyse_reserve(evidence: Evidence, final: Model) -> list[Finding]:
    """What the reserve came to for the chosen file, and the smaller candidate that was not taken for want of it."""
    asked = _read_asked(final)
    return _explain_share(evidence, final) if asked is None else _explain_bound(evidence, final, asked)


def _read_asked(final: Model) -> Mapping[str, Any] | None:
    asked: Mapping[str, Any] | None = final.result.get("reserve")
    return asked


def _explain_bound(evidence: Evidence, final: Model, asked: Mapping[str, Any]) -> list[Finding]:
    chosen, max_drop = final.result["chosen"], evidence.max_drop
    allowed = {"limit": limit(max_drop)}
    values = {"confidence": plain(100 * asked["confidence"]), "bound": points(asked["drop_bound"])}
    pictures = {"pictures": count(asked["validation_pictures"])}
    source = f"{cite(final, 'reserve')}; {cite(final, 'chosen')}"
    if not asked["is_decidable"]:
        return [Finding("final.bound_undecidable", values | allowed | pictures, source)]
    if asked["drop_bound"] <= max_drop:
        differing = {"lost": count(chosen["lost"]), "gained": count(chosen["gained"])}
        found = [Finding("final.bound_kept", values | pictures | differing, source)]
        return found + _name_smaller(evidence, final)
    values |= allowed | {"reached": percent(asked["reached_confidence"])}
    keeping = min((one["num_bytes"] for one in _list_bounded(final) if one["drop_bound"] <= max_drop), default=None)
    if keeping is None:
        return [Finding("final.bound_missed", values, source)]
    values |= {"kilobytes": kilobytes(keeping), "factor": Value("decimals1", keeping / chosen["num_bytes"])}
    return [Finding("final.bound_forgone", values, f"{source}; {cite(final, 'candidates')}")]


def _name_smaller(evidence: Evidence, final: Model) -> list[Finding]:
    """The smallest candidate that was within the drop on validation, and whose bound was beyond it."""
    smaller = [
        one
        for one in _find_smaller(final, _list_bounded(final))
        if one["within"] and one["drop_bound"] > evidence.max_drop
    ]
    smallest = min(smaller, key=lambda one: one["num_bytes"], default=None)
    if smallest is None:
        return []
    values = {
        "kilobytes": kilobytes(smallest["num_bytes"]),
        "drop": change(smallest["drop"]),
        "limit": limit(evidence.max_drop),
        "bound": points(smallest["drop_bound"]),
    }
    return [Finding("final.bound_not_taken", values, f"{cite(final, 'candidates')}; {cite(final, 'chosen')}")]


def _list_bounded(final: Model) -> list[Mapping[str, Any]]:
    return [one for one in final.result.get("candidates") or [] if one.get("drop_bound") is not None]


def _find_smaller(final: Model, candidates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in candidates if one["num_bytes"] < final.result["chosen"]["num_bytes"]]


def _explain_share(evidence: Evidence, final: Model) -> list[Finding]:
    """The same of an earlier version's result."""
    if not evidence.reserves or not final.result["chosen"]["safe"]:
        return []
    smaller = [one for one in _find_smaller(final, final.result["candidates"]) if one["within"] and not one["safe"]]
    smallest = min(smaller, key=lambda one: one["num_bytes"], default=None)
    reserve = None if smallest is None else evidence.find_reserve(smallest)
    if smallest is None or reserve is None:
        return []
    values = {
        "kilobytes": kilobytes(smallest["num_bytes"]),
        "drop": points(smallest["drop"]),
        "limit": limit(evidence.max_drop),
        "share": plain(100 * reserve.share),
        "safe": points(reserve.max_drop),
    }
    return [Finding("final.reserve", values, f"{cite(final, 'candidates')}; {cite(final, 'chosen')}")]
