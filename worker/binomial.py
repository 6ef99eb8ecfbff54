"""Exact tails of the binomial distribution, in the standard library: the API has no scipy, and both must agree."""

from __future__ import annotations

import math

from worker.search import bisect

_FINEST = 1e-12


def compute_lower_tail(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes) of `trials` independent trials. probability: of a success in each, 0..1."""
    if successes < 0:
        return 0.0
    if successes >= trials or probability <= 0:
        return 1.0
    if probability >= 1:
        return 0.0
    # Summed from the side of the smaller tail, so that neither loses its digits to the other.
    if successes > trials * probability:
        return max(0.0, 1.0 - _sum_down(trials - successes - 1, trials, 1 - probability))
    return min(1.0, _sum_down(successes, trials, probability))


def compute_upper_tail(successes: int, trials: int, probability: float) -> float:
    """P(X >= successes), likewise."""
    return compute_lower_tail(trials - successes, trials, 1 - probability)


def compute_exact_interval(successes: int, trials: int, error: float = 0.05) -> tuple[float, float]:
    """Interval of a probability (Clopper and Pearson 1934), fractions: each end is refuted by half of `error`."""
    low = high = None
    if successes > 0:
        low = bisect(lambda p: compute_upper_tail(successes, trials, p) < error / 2, 0.0, 1.0, finest=_FINEST)[0]
    if successes < trials:
        high = bisect(lambda p: compute_lower_tail(successes, trials, p) >= error / 2, 0.0, 1.0, finest=_FINEST)[1]
    return 0.0 if low is None else low, 1.0 if high is None else high


def _sum_down(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes), for a number of successes below the mean: each term is smaller than the one before."""
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(probability)
        + (trials - successes) * math.log1p(-probability)
    )
    term, tail, odds = math.exp(log_term), 0.0, (1 - probability) / probability
    for count in range(successes, -1, -1):
        tail += term
        term *= count / (trials - count + 1) * odds
        if term < tail * 1e-18:
            break
    return tail
