"""Files from one trained network without more training: its integers rounded for ever fewer bits.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import nn

from worker.core.baseline import Baseline
from worker.core.datasets import Split
from worker.core.integer import IntegerNetwork, round_floats
from worker.core.quantization.rate_distortion import compute_curvatures, refit_channels_, round_for_rate
from worker.core.resume import MANTISSA_BITS, extract_network
from worker.core.training import get_device
from worker.jobs.candidates import Candidate, Gallery
from worker.jobs.compress_timetable import NUM_TRADE_OFFS, ROUNDING

CURVATURE_EXAMPLES = 4096
REFIT_EXAMPLES = 2048
FIRST_LOSS = 0.03
"""The first trade-off is such that the whole file is worth so much loss, in nats per picture."""
FIRST_FACTOR = 3.0
"""From one trade-off to the next, until one stays within the drop and one does not; then their geometric mean."""


class Rounder:
    """Rounds one trained network."""

    def __init__(self, baseline: Baseline, model: nn.Module, seed: int) -> None:
        self.baseline, self.model, self.seed = baseline, model, seed

    @functools.cached_property
    def curvatures(self) -> dict[str, torch.Tensor]:
        """How much the loss minds a change of each weight."""
        train = self.baseline.data.train
        split = Split(train.images[:CURVATURE_EXAMPLES], train.labels[:CURVATURE_EXAMPLES])
        return compute_curvatures(self.model, self.baseline.data, split, self.seed)

    def round(self, trade_off: float, *, refit: bool = True) -> IntegerNetwork:
        """The network rounded for the rate, its floats in full."""
        rounded = round_for_rate(self.model, self.curvatures, trade_off)
        if refit:
            data = self.baseline.data
            images = data.train.images[:REFIT_EXAMPLES].to(get_device(self.model))
            refit_channels_(rounded, self.model, data.normalize(images))
        return extract_network(self.baseline, rounded)


def search_trade_off(gallery: Gallery, rounder: Rounder, start: Candidate) -> list[Candidate]:
    """Candidates around the highest trade-off that keeps within the drop and its reserve.

    start: the candidate that the rounder's network is without rounding.
    """
    found: list[Candidate] = []
    low = high = None
    trade_off = FIRST_LOSS / (8 * start.num_bytes)
    for number in range(1, NUM_TRADE_OFFS + 1):
        candidate = gallery.measure(
            f"{start.name}, rate-distortion rounding at {trade_off:.2e}",
            functools.partial(_round_all, rounder, trade_off),
            ROUNDING,
            number / NUM_TRADE_OFFS,
            trade_off=trade_off,
        )
        found.append(candidate)
        is_good = gallery.is_good(candidate)
        if is_good:
            low = trade_off
        else:
            high = trade_off
        if low is None or high is None:
            trade_off *= FIRST_FACTOR if is_good else 1 / FIRST_FACTOR
        else:
            trade_off = math.sqrt(low * high)
    return found


def _round_all(rounder: Rounder, trade_off: float) -> IntegerNetwork:
    return round_floats(rounder.round(trade_off), MANTISSA_BITS)
