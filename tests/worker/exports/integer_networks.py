"""Integers for any record, drawn by lot, and what PyTorch computes with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from worker.checkpoint_facts import describe_model
from worker.core.quantization.integer_model import build_integer_model
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.network.layers import count_outputs, find_affines
from worker.network.record import Network
from worker.pixels import normalize_pixels


def draw_integers(record: Network, seed: int) -> IntegerNetwork:
    """A network whose layers differ in width, sign and zero point, and whose values stay near one."""
    rng = np.random.default_rng(seed)
    channels = record.input_shape[0]
    affines = [
        IntegerAffine(name, *(rng.normal(loc, 0.5, count).astype(np.float32) for loc in (1, 0)))
        for name, count in find_affines(record).items()
    ]
    return IntegerNetwork(
        architecture="onnx",
        widths=(),
        input_shape=record.input_shape,
        class_names=tuple(f"class {number}" for number in range(record.num_classes)),
        mean=tuple(rng.uniform(0, 1, rng.choice([1, channels])).tolist()),
        std=tuple(rng.uniform(0.1, 1, rng.choice([1, channels])).tolist()),
        layers=tuple(draw_layer(name, record.tensors[f"{name}.weight"], rng) for name in count_outputs(record)),
        network=record,
        affines=tuple(affines),
    )


def draw_named(name: str, widths: tuple[int, ...], seed: int) -> IntegerNetwork:
    """One of the built-in networks: its file is of version 1."""
    drawn = draw_integers(describe_model(name, widths, num_classes=10), seed)
    return replace(drawn, architecture=name, widths=widths, network=None)


def draw_layer(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> IntegerLayer:
    bit_width, input_bit_width, is_signed = int(rng.integers(1, 9)), int(rng.integers(2, 12)), bool(rng.random() < 0.5)
    lowest, highest = -(1 << bit_width - 1), (1 << bit_width - 1) - 1
    weight = np.where(rng.random(shape) < 0.3, 0, rng.integers(lowest, highest, shape, endpoint=True)).astype(np.int8)
    size = np.sqrt(weight[0].size) * max(1, highest) * 0.5
    scale = rng.normal(0, 1 / size, rng.choice([1, shape[0]]))
    return IntegerLayer(
        name=name,
        weight=weight,
        scale=scale.astype(np.float32),
        bias=rng.normal(0, 0.5, shape[0]).astype(np.float32),
        bit_width=bit_width,
        input_scale=float(np.float32(rng.uniform(1, 4) / (1 << input_bit_width))),
        input_zero_point=0 if is_signed else int(rng.choice([0, 0, (1 << input_bit_width) // 8])),
        input_bit_width=input_bit_width,
        input_signed=is_signed,
    )


def draw_pictures(network: IntegerNetwork, count: int, seed: int) -> NDArray[np.uint8]:
    """(count, C, H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape), dtype=np.uint8)


@torch.no_grad()
def compute_logits(network: IntegerNetwork, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(count, classes), by the integer pass."""
    x = normalize_pixels(torch.from_numpy(pictures), network.mean, network.std)
    logits: NDArray[np.float32] = build_integer_model(network)(x).flatten(1).numpy()
    return logits
