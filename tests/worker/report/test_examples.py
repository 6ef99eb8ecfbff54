"""The report's worked examples are what the core computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from worker.core.models.build import build_module
from worker.core.pruning import apply_pruning, check_sparsity
from worker.core.quantization.linear import (
    compute_integer_range,
    compute_symmetric_scale,
    linear_dequantize,
    linear_quantize,
)
from worker.network.operations.elementwise import Flatten
from worker.network.operations.layers import Linear
from worker.network.record import NetworkBuilder
from worker.report.analysis import examples


def test_the_pruned_matrix_is_what_apply_pruning_leaves() -> None:
    builder = NetworkBuilder((4, 1, 1))
    builder.add("flat", Flatten())
    builder.add("layer", Linear(out_features=3, bias=False))
    model = build_module(builder.build())
    layer = model.get_submodule("layer")
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(examples.WEIGHTS))
    before = layer.weight.detach().clone()
    (mask,) = apply_pruning(model, "magnitude", examples.PRUNED).values()
    example, counted = examples.prune_example(), check_sparsity(model)
    assert (example.before, example.after) == (before.tolist(), layer.weight.tolist())
    assert (example.sparsity, example.num_zeros) == (counted.sparsity, counted.layers[0].num_zeros)
    assert example.threshold == before[~mask].abs().max().item()


def test_the_quantized_values_are_those_of_linear_quantize() -> None:
    x = torch.tensor(examples.VALUES)
    scale = compute_symmetric_scale(x, examples.BIT_WIDTH)
    q = linear_quantize(x, scale, 0, examples.BIT_WIDTH)
    example = examples.quantize_example()
    assert (example.qmin, example.qmax) == compute_integer_range(examples.BIT_WIDTH)
    assert example.scale == pytest.approx(scale.item())
    assert [value.q for value in example.values] == q.tolist()
    assert [value.returned for value in example.values] == pytest.approx(linear_dequantize(q, scale, 0).tolist())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_staircase_in_the_figure_is_that_of_linear_quantize(bits: int) -> None:
    # Numbers that divide exactly: no step hangs on one processor's rounding.
    x, scale = np.arange(-160, 161, dtype=np.float32) / np.float32(128), 1 / 2 ** (bits - 1)
    expected = linear_quantize(torch.from_numpy(x), scale, 0, bits)
    assert examples.quantize(x, scale, bits).tolist() == expected.tolist()
