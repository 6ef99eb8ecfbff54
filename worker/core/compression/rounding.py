"""Files from one trained network without more training: its integers rounded for ever fewer bits."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import nn

from worker.compression_plan.parts import NUM_LAMBDAS, ROUNDING
from worker.core.baseline import Baseline
from worker.core.compression.candidates import MANTISSA_BITS, Candidate, CandidateStore, is_good
from worker.core.device import device_of
from worker.core.quantization.rate_distortion import compute_fisher_diagonal, refit_channels_, round_for_rate
from worker.core.quantization_aware import extract_network
from worker.datasets import Split
from worker.integer_network import IntegerNetwork, round_floats
from worker.memory_estimate import REFIT_EXAMPLES

FISHER_EXAMPLES = 4096
FIRST_LOSS = 0.03
"""The first trade-off is such that the whole file is worth so much loss, in nats per picture."""
FIRST_FACTOR = 3.0
"""From one trade-off to the next, until one stays within the drop and one does not; then their geometric mean."""


def find_next_lambda(first: float, tries: Sequence[tuple[float, bool]]) -> float:
    """The trade-off to try next. tries: those so far, and whether what came of each was good."""
    low = max((rd_lambda for rd_lambda, good in tries if good), default=None)
    high = min((rd_lambda for rd_lambda, good in tries if not good), default=None)
    if low is not None and high is not None:
        return math.sqrt(low * high)
    if low is not None:
        return low * FIRST_FACTOR
    return first if high is None else high / FIRST_FACTOR


class Rounder:
    """Rounds one trained network. The Fisher information is computed when it is first needed."""

    def __init__(self, baseline: Baseline, model: nn.Module, seed: int) -> None:
        self.baseline, self.model, self.seed = baseline, model, seed

    @functools.cached_property
    def fisher_diagonal(self) -> dict[str, torch.Tensor]:
        """How much the loss minds a change of each weight."""
        train = self.baseline.data.train
        split = Split(train.images[:FISHER_EXAMPLES], train.labels[:FISHER_EXAMPLES])
        return compute_fisher_diagonal(self.model, self.baseline.data, split, self.seed)

    def round(self, rd_lambda: float, *, refit: bool = True) -> IntegerNetwork:
        """Rounds the network for the rate, its floats in full. refit: fits each channel's scale and bias anew."""
        rounded = round_for_rate(self.model, self.fisher_diagonal, rd_lambda)
        if refit:
            data = self.baseline.data
            images = data.train.images[:REFIT_EXAMPLES].to(device_of(self.model))
            refit_channels_(rounded, self.model, data.normalize(images))
        return extract_network(self.baseline, rounded)

    def round_stored(self, rd_lambda: float) -> IntegerNetwork:
        """Rounds it as a file holds it."""
        return round_floats(self.round(rd_lambda), MANTISSA_BITS)


def search_lambda(store: CandidateStore, rounder: Rounder, start: Candidate) -> list[Candidate]:
    """Measures candidates around the highest trade-off that keeps within the drop and has the margin.

    start: the candidate that the rounder's network is without rounding.
    """
    found: list[Candidate] = []
    tries: list[tuple[float, bool]] = []
    for number in range(1, NUM_LAMBDAS + 1):
        rd_lambda = find_next_lambda(FIRST_LOSS / (8 * start.num_bytes), tries)
        candidate = store.measure(
            f"rounded-{number}",
            f"{start.name}, rate-distortion rounding at {rd_lambda:.2e}",
            functools.partial(rounder.round_stored, rd_lambda),
            ROUNDING,
            number / NUM_LAMBDAS,
            rd_lambda=rd_lambda,
        )
        found.append(candidate)
        tries.append((rd_lambda, is_good(candidate, store.reserve)))
    return found
