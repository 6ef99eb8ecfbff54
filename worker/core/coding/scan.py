"""How the writer walks each layer: by what it really costs."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from worker.core.coding.fields import Fields
from worker.core.coding.ranges import CostMeter
from worker.core.coding.weights import Scan, WeightModels, code_weights
from worker.core.integer import IntegerLayer, IntegerNetwork

MAX_MIXED_WEIGHTS = 1 << 19
"""Over all layers coded one decision at a time: what bounds a reader's time."""

MIXED_DECISIONS = 700_000
"""About what the writer spends on one layer before it turns to blocks."""

TRIAL_WEIGHTS = 100_000
"""Larger layers are coded as they naturally lie, without trying other ways."""


def compute_natural_scan(weight: NDArray[np.int8], previous: NDArray[np.int8] | None) -> Scan:
    """How a layer most likely lies: kernels, or the flattened picture of the layer before."""
    if weight.ndim == 4:
        return Scan(positions=weight.shape[2] * weight.shape[3], stride=weight.shape[3])
    if previous is None or weight.shape[1] % len(previous):
        return Scan()
    positions = weight.shape[1] // len(previous)
    side = math.isqrt(positions)
    return Scan(positions=positions, stride=side if side * side == positions else 1)


def choose_scans(network: IntegerNetwork) -> tuple[Scan, ...]:
    """The cheapest of a few ways to walk each layer."""
    models = WeightModels()
    scans: list[Scan] = []
    previous = None
    num_mixed = 0
    for layer in network.layers:
        natural = compute_natural_scan(layer.weight, previous)
        previous = layer.weight
        scan, models = _choose_scan(layer, natural, models, MAX_MIXED_WEIGHTS - num_mixed)
        num_mixed += 0 if scan.in_blocks else layer.weight.size
        scans.append(scan)
    return tuple(scans)


def _choose_scan(layer: IntegerLayer, natural: Scan, models: WeightModels, max_mixed: int) -> tuple[Scan, WeightModels]:
    """Also returns what the models have learnt by coding the layer that way."""
    flat = layer.weight.reshape(len(layer.weight), -1)
    nonzero = flat != 0
    has_empty = not (nonzero.any(axis=0).all() and nonzero.any(axis=1).all())
    if flat.size > max_mixed or flat.size + 4 * int(nonzero.sum()) > MIXED_DECISIONS:
        return replace(natural, in_blocks=True, masked=has_empty), models

    def measure(scan: Scan) -> tuple[float, WeightModels]:
        trial = deepcopy(models)
        meter = CostMeter()
        code_weights(Fields(meter), trial, flat, layer.bit_width, scan)
        return meter.bits, trial

    models.forget_contexts()
    if flat.size > TRIAL_WEIGHTS:
        scan = replace(natural, masked=has_empty)
        return scan, measure(scan)[1]
    best, (bits, learnt) = natural, measure(natural)
    changes: list[dict[str, int | bool]] = [{"by_column": True}]
    if has_empty:
        changes.append({"masked": True})
    if layer.weight.ndim == 2 and natural.positions > 1:
        changes.append({"positions": 1, "stride": 1})
    for change in changes:
        scan = replace(best, **change)
        trial_bits, trial = measure(scan)
        if trial_bits < bits:
            best, bits, learnt = scan, trial_bits, trial
    return best, learnt
