"""What a compressed file may hold at most, and the words that are numbers in it."""

from __future__ import annotations

ARCHITECTURES = ("fashion_cnn", "lenet5", "mlp", "resnet_small", "depthwise_cnn")
"""Architectures written as one number, its place here plus 1; others are spelt. Append only."""
RESIZE_MODES = ("shorter_side_centre_crop", "pad", "stretch", "exact")
"""Written as their place here. Append only."""
BACKGROUNDS = ("white", "black")
"""Likewise."""

MAX_LAYERS = 1024
MAX_CLASSES = 4096
MAX_TEXT_BYTES = 255
MAX_SIDE = 1 << 20
MAX_WEIGHTS = 1 << 26
MAX_FLOATS = 1 << 19
"""Scales, biases, gains and shifts of a file of version 2, which are no single decisions."""
MAX_PACKED_BYTES = 1 << 17
"""Of a network's record, deflated."""
FREE_WEIGHTS = 1 << 16
WEIGHTS_PER_BYTE = 1024
"""A file of n bytes may declare FREE_WEIGHTS + n * WEIGHTS_PER_BYTE weights: what bounds a reader's memory."""
