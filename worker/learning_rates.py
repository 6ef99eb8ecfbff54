"""Peak learning rates by default, as a network's layers allow them. No torch here."""

from __future__ import annotations

from worker.network.layers import has_batch_norm
from worker.network.record import Network

FINE_TUNING_RATE = 0.02
"""A fifth of what fresh weights are trained at: these are good already."""
WITHOUT_BATCH_NORM = 0.25
"""Of any rate, where nothing scales the values of a layer back. ResNet-20 in a file whose exporter folded its norms
falls to chance within an epoch at 0.02, and learns at 0.005."""
GENTLE_FINE_TUNING_RATE = FINE_TUNING_RATE * WITHOUT_BATCH_NORM
DESCRIPTION = f"By default {FINE_TUNING_RATE}, and {GENTLE_FINE_TUNING_RATE} without batch norm."
"""Of a spec's field."""


def suit_rate(rate: float, network: Network) -> float:
    """The rate for this network, where `rate` is that of networks with batch norm."""
    return rate if has_batch_norm(network) else rate * WITHOUT_BATCH_NORM
