"""Changed pictures to train on: mirrored and shifted, a whole batch at once.

A *view* is one way to change a picture. They are numbered, so that what a teacher says of every view of every picture
can be computed beforehand and looked up.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def count_views(max_shift: int) -> int:
    """How many views there are: (2 * max_shift + 1)^2 places, each as stored and mirrored. View v is mirrored where v
    is odd; v // 2 numbers the places row by row, from the one furthest down and right.
    """
    return 2 * (2 * max_shift + 1) ** 2


def get_plain_view(max_shift: int) -> int:
    """The view that shows a picture as it is stored."""
    return count_views(max_shift) // 2 - 1


def show_view(images: torch.Tensor, view: int, max_shift: int) -> torch.Tensor:
    """Every picture in one view. images: uint8 (B, C, H, W). Returns the same shape; edges are filled with zero."""
    height, width = images.shape[2:]
    row, column = divmod(view // 2, 2 * max_shift + 1)
    padded = F.pad(images, (max_shift,) * 4)
    shifted = padded[:, :, row : row + height, column : column + width]
    return shifted.flip(3) if view % 2 else shifted


def augment_batch(
    images: torch.Tensor, generator: torch.Generator, *, flip: bool, max_shift: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirrors each picture left-right with probability 1/2 and shifts it by up to `max_shift` pixels.

    Edges are filled with zero. images: uint8 (B, C, H, W). Returns the same shape, and int64 (B,): which view of each.
    """
    batch, channels, height, width = images.shape
    device = images.device
    reach = max_shift
    padded = F.pad(images, (reach, reach, reach, reach))
    draw = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator).to(device)
    mirrored = torch.randint(0, 2, (batch, 1), generator=generator).bool().to(device) & flip
    rows = torch.arange(height, device=device) + draw[0]  # (B, H)
    columns = torch.arange(width, device=device)
    columns = torch.where(mirrored, columns.flip(0), columns) + draw[1]  # (B, W)
    stride = width + 2 * reach
    index = (rows[:, :, None] * stride + columns[:, None, :]).flatten(1)  # (B, H * W)
    flat = padded.flatten(2)  # (B, C, H' * W')
    shifted = flat.gather(2, index[:, None, :].expand(-1, channels, -1)).view(batch, channels, height, width)
    views = 2 * ((2 * reach + 1) * draw[0] + draw[1]) + mirrored  # (B, 1)
    return shifted, views[:, 0]
