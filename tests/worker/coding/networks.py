"""Synthetic networks with the statistics of pruned and quantized ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.integer_network import IntegerLayer, IntegerNetwork

CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def build_weight(
    shape: tuple[int, ...], sparsity: float, bit_width: int, seed: int, spread: float = 0.5
) -> NDArray[np.int8]:
    """Laplacian weights whose rows and columns differ in scale, pruned by magnitude, then rounded."""
    rng = np.random.default_rng(seed)
    weight = rng.laplace(size=shape)
    for axis in (0, 1):
        size = [1] * len(shape)
        size[axis] = shape[axis]
        weight = weight * np.exp(spread * rng.normal(size=size))
    threshold = np.quantile(np.abs(weight), sparsity)
    kept = np.abs(weight) > threshold
    highest = 2 ** (bit_width - 1) - 1
    step = max(np.abs(weight).max() / max(highest, 1) * 0.7, threshold)
    integers = np.clip(np.round(weight / step), -highest, highest)
    integers = np.where(kept & (integers == 0), np.sign(weight), integers)
    return np.where(kept, integers, 0).astype(np.int8)


def build_layer(name: str, weight: NDArray[np.int8], bit_width: int = 4, seed: int = 0) -> IntegerLayer:
    """A layer whose floats need few mantissa bits, as the quantizer leaves them."""
    rng = np.random.default_rng(seed)
    rows = len(weight)
    return IntegerLayer(
        name=name,
        weight=weight,
        scale=np.exp2(rng.integers(-8, -4, size=rows)).astype(np.float32),
        bias=(rng.integers(-64, 64, size=rows) / 64).astype(np.float32),
        bit_width=bit_width,
        input_scale=0.0625,
        input_zero_point=0,
        input_bit_width=bit_width,
        input_signed=False,
    )


def build_network(*layers: IntegerLayer, class_names: tuple[str, ...] = CLASS_NAMES) -> IntegerNetwork:
    return IntegerNetwork(
        architecture="fashion_cnn",
        widths=tuple(len(layer.weight) for layer in layers),
        input_shape=(1, 28, 28),
        class_names=class_names,
        mean=(0.286,),
        std=(0.353,),
        layers=layers,
    )


def build_small_network() -> IntegerNetwork:
    """Two layers, 184 weights: small enough to damage the file in every place."""
    conv = build_layer("conv1", build_weight((4, 1, 3, 3), 0.3, 4, seed=1))
    return build_network(conv, build_layer("fc1", build_weight((2, 16), 0.6, 4, seed=2)), class_names=("a", "b"))


def build_typical_network() -> IntegerNetwork:
    """About the shape and sparsity that `compress` ends with, scaled down."""
    return build_network(
        build_layer("conv1", build_weight((8, 1, 3, 3), 0.1, 4, seed=1)),
        build_layer("conv2", build_weight((16, 8, 3, 3), 0.8, 4, seed=2)),
        build_layer("fc1", build_weight((24, 16 * 49), 0.93, 4, seed=3)),
        build_layer("fc2", build_weight((10, 24), 0.5, 4, seed=4)),
    )
