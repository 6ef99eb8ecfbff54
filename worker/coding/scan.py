"""How the writer walks each layer: by what it really costs."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from worker.coding.fields import Fields
from worker.coding.ranges import MAX_DECISIONS, CostMeter
from worker.coding.weights import Scan, WeightModels, code_weights
from worker.integer_network import IntegerLayer, IntegerNetwork

SCAN_DECISIONS = 128
"""More than it takes to say how one layer is walked."""

MAX_MASK = 1 << 16
"""Layers of more rows and columns than this are not masked."""

TRIAL_WEIGHTS = 50_000
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


def choose_scans(network: IntegerNetwork, decisions_left: int = MAX_DECISIONS) -> tuple[Scan, ...]:
    """The cheapest of a few ways to walk each layer. Layers that would take more single decisions than are left of
    those that a file may have are coded in blocks.
    """
    models = WeightModels()
    scans: list[Scan] = []
    previous = None
    decisions_left -= len(network.layers) * SCAN_DECISIONS
    for layer in network.layers:
        natural = compute_natural_scan(layer.weight, previous)
        previous = layer.weight
        num_decisions = count_decisions(layer)
        if num_decisions > decisions_left:
            mask = _count_mask(layer)
            masked = 0 < mask <= decisions_left
            scans.append(replace(natural, in_blocks=True, masked=masked))
            decisions_left -= mask * masked
        else:
            decisions_left -= num_decisions
            scan, models = _choose_scan(layer, natural, models)
            scans.append(scan)
    return tuple(scans)


def count_decisions(layer: IntegerLayer) -> int:
    """How many single decisions the weights take at most, and a mask where one is tried."""
    magnitude = np.abs(layer.weight[layer.weight != 0].astype(np.int16))
    sizes = np.frexp(magnitude.astype(np.float64))[1] - 1
    return _count_mask(layer) + int(layer.weight.size) + 2 * int(magnitude.size) + 2 * int(sizes.sum())


def _count_mask(layer: IntegerLayer) -> int:
    """The decisions of a mask, one for each row and column; 0 where none is worth its bits."""
    nonzero = layer.weight.reshape(len(layer.weight), -1) != 0
    has_empty = not (nonzero.any(axis=0).all() and nonzero.any(axis=1).all())
    return sum(nonzero.shape) if has_empty and sum(nonzero.shape) <= MAX_MASK else 0


def _choose_scan(layer: IntegerLayer, natural: Scan, models: WeightModels) -> tuple[Scan, WeightModels]:
    """Also returns what the models have learnt by coding the layer that way."""
    flat = layer.weight.reshape(len(layer.weight), -1)

    def measure(scan: Scan) -> tuple[float, WeightModels]:
        trial = deepcopy(models)
        meter = CostMeter()
        code_weights(Fields(meter), trial, flat, layer.bit_width, scan)
        return meter.bits, trial

    models.forget_contexts()
    masked = replace(natural, masked=True)
    if flat.size > TRIAL_WEIGHTS:
        scan = masked if _count_mask(layer) else natural
        return scan, measure(scan)[1]
    best, (bits, learnt) = natural, measure(natural)
    others = [replace(natural, by_column=True)]
    if _count_mask(layer):
        others += [masked, replace(masked, by_column=True)]
    if layer.weight.ndim == 2 and natural.positions > 1:
        others.append(replace(natural, positions=1, stride=1))
    for scan in others:
        trial_bits, trial = measure(scan)
        if trial_bits < bits:
            best, bits, learnt = scan, trial_bits, trial
    return best, learnt
