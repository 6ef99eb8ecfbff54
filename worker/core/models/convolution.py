"""A convolution whose gradients torch computes rightly on every processor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

NARROW_CHANNELS = 16
"""Channels of one block of oneDNN's widest kernels (AVX-512, float32). With fewer, the gradient of the weights of a
1×1 convolution that steps over pixels, channels last, is written past the end of a buffer: wrong values or a crash
(https://github.com/uxlfoundation/oneDNN/issues/6035)."""


class Conv2d(nn.Conv2d):
    """torch's convolution. One of 1×1 that steps over pixels reads few channels by steps of one, of those pixels."""

    def _conv_forward(
        self,
        input: torch.Tensor,  # noqa: A002 - the parent names it so
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        vertical, horizontal = self.stride
        is_pointwise = self.kernel_size == (1, 1) and self.padding == (0, 0)
        if not is_pointwise or (vertical, horizontal) == (1, 1) or weight.shape[1] >= NARROW_CHANNELS:
            output: torch.Tensor = super()._conv_forward(input, weight, bias)
            return output
        return F.conv2d(input[:, :, ::vertical, ::horizontal], weight, bias, groups=self.groups)
