"""The analysis of the reserve that `compress` asked for, and of the smaller file that it did not take. See `analysis`.

Results of earlier versions recorded it as a share of the drop, later ones as a bound on the drop of new pictures.
"""

from __future__ import annotations

from worker.report.analysis.claims import cite
from worker.report.analysis.evidence import Evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import Candidate, Model
from worker.report.language.values import Value, change, count, kilobytes, limit, percent, plain, points
from worker.results.compress import DropReserve


def describe_protocol(evidence: Evidence) -> list[Finding]:
    """What was asked of every candidate, before any was chosen. None where nothing was recorded."""
    final = evidence.final
    if final is None:
        return []
    shares, asked = evidence.reserves, final.asked_reserve
    if asked is not None:
        values = {"limit": limit(evidence.max_drop), "confidence": plain(100 * asked.confidence)}
        if asked.is_decidable:
            return [Finding("protocol.bound", values, cite(final, "reserve"))]
        values |= {"pictures": count(asked.validation_pictures), "smallest": points(asked.smallest_drop_bound)}
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
    asked = final.asked_reserve
    return _explain_share(evidence, final) if asked is None else _explain_bound(evidence, final, asked)


def _explain_bound(evidence: Evidence, final: Model, asked: DropReserve) -> list[Finding]:
    chosen, max_drop = final.chosen_candidate, evidence.max_drop
    allowed = {"limit": limit(max_drop)}
    values = {"confidence": plain(100 * asked.confidence), "bound": points(asked.drop_bound)}
    pictures = {"pictures": count(asked.validation_pictures)}
    source = f"{cite(final, 'reserve')}; {cite(final, 'chosen')}"
    if not asked.is_decidable:
        return [Finding("final.bound_undecidable", values | allowed | pictures, source)]
    if asked.drop_bound <= max_drop:
        differing = {"lost": count(chosen.lost), "gained": count(chosen.gained)}
        found = [Finding("final.bound_kept", values | pictures | differing, source)]
        return found + _name_smaller(evidence, final)
    values |= allowed | {"reached": percent(asked.reached_confidence)}
    keeping = min((one.num_bytes for one, bound in _list_bounded(final) if bound <= max_drop), default=None)
    if keeping is None:
        return [Finding("final.bound_missed", values, source)]
    values |= {"kilobytes": kilobytes(keeping), "factor": Value("decimals1", keeping / chosen.num_bytes)}
    return [Finding("final.bound_forgone", values, f"{source}; {cite(final, 'candidates')}")]


def _name_smaller(evidence: Evidence, final: Model) -> list[Finding]:
    """The smallest candidate that was within the drop on validation, and whose bound was beyond it."""
    smaller = [
        (one, bound)
        for one, bound in _list_bounded(final)
        if one.num_bytes < final.chosen_candidate.num_bytes and one.within and bound > evidence.max_drop
    ]
    if not smaller:
        return []
    smallest, bound = min(smaller, key=lambda pair: pair[0].num_bytes)
    values = {
        "kilobytes": kilobytes(smallest.num_bytes),
        "drop": change(smallest.drop),
        "limit": limit(evidence.max_drop),
        "bound": points(bound),
    }
    return [Finding("final.bound_not_taken", values, f"{cite(final, 'candidates')}; {cite(final, 'chosen')}")]


def _list_bounded(final: Model) -> list[tuple[Candidate, float]]:
    """Candidates with their bound."""
    return [(one, one.drop_bound) for one in final.candidates if one.drop_bound is not None]


def _explain_share(evidence: Evidence, final: Model) -> list[Finding]:
    """The same of an earlier version's result."""
    chosen = final.chosen_candidate
    if not evidence.reserves or not chosen.is_safe:
        return []
    smaller = [one for one in final.candidates if one.num_bytes < chosen.num_bytes and one.within and not one.is_safe]
    smallest = min(smaller, key=lambda one: one.num_bytes, default=None)
    reserve = None if smallest is None else evidence.find_reserve(smallest)
    if smallest is None or reserve is None:
        return []
    values = {
        "kilobytes": kilobytes(smallest.num_bytes),
        "drop": points(smallest.drop),
        "limit": limit(evidence.max_drop),
        "share": plain(100 * reserve.share),
        "safe": points(reserve.max_drop),
    }
    return [Finding("final.reserve", values, f"{cite(final, 'candidates')}; {cite(final, 'chosen')}")]
