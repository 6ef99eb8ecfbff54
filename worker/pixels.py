"""From pixels to what a network reads."""

from __future__ import annotations

import torch


def normalize_pixels(images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """(B, C, H, W) of pixels 0..255, whatever their type, as float32 of the same shape: (p / 255 - mean) / std.

    mean, std: one number for all channels, or one for each.
    """

    def spread(values: tuple[float, ...]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=images.device).reshape(-1, 1, 1)

    return images.to(torch.float32, copy=True).div_(255).sub_(spread(mean)).div_(spread(std))
