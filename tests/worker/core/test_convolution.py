"""Convolutions of few channels that step over pixels: torch's own write past a buffer in their way back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.variants import VARIANTS
from worker.core.models.build import build_module
from worker.core.models.convolution import NARROW_CHANNELS, Conv2d
from worker.core.quantization.layers import QuantizedConv2d
from worker.network_names import describe_named

CHECKED_HEAP = "libc_malloc_debug.so.0"
"""glibc's: a byte behind each block is looked at when the block is freed. Where there is none, a crash alone tells."""
TRAIN = """
import torch
from worker.core.models.build import build_module
from worker.network_names import describe_named

torch.manual_seed(0)
module = build_module(describe_named("resnet_small", (4, 4, 8, 8), (3, 64, 64), 3))
for _ in range(20):
    pictures = torch.randn(16, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    module(pictures).sum().backward()
"""
"""Its shortcut is such a convolution."""


@given(
    st.integers(1, 2 * NARROW_CHANNELS),
    st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 2)]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
)
def test_values_and_gradients_are_those_of_torch(
    channels: int, stride: tuple[int, int], height: int, width: int, has_bias: bool
) -> None:
    ours = Conv2d(channels, 3, 1, stride=stride, bias=has_bias)
    theirs = nn.Conv2d(channels, 3, 1, stride=stride, bias=has_bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, channels, height, width)  # not channels last: torch's own way back is sound there
    answers = []
    for module in (ours, theirs):
        given_x = x.clone().requires_grad_(True)
        y = module(given_x)
        torch.autograd.backward((y * torch.arange(y.numel()).reshape(y.shape)).sum())
        assert given_x.grad is not None
        assert module.weight.grad is not None
        answers.append((y.detach(), given_x.grad, module.weight.grad))
    for mine, other in zip(*answers, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_every_convolution_that_is_trained_is_one_of_ours() -> None:
    module = build_module(describe_named("resnet_small", (4, 4, 8, 8), (3, 16, 16), 3))
    found = [one for one in module.modules() if isinstance(one, nn.Conv2d)]
    assert found
    assert all(isinstance(one, Conv2d) for one in found)
    assert issubclass(QuantizedConv2d, Conv2d)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["avx2", "threads"])
def test_the_way_back_leaves_the_heap_whole(variant: str) -> None:
    environment = {**os.environ, **VARIANTS[variant], "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    environment["LD_PRELOAD"] = CHECKED_HEAP
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", TRAIN], env=environment, cwd=root, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
