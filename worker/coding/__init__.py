"""Entropy coding of integer weights; the compressed file. NumPy and `constriction`, no PyTorch."""

from __future__ import annotations

from worker.coding.container import decode_network, encode_network
from worker.coding.ledger import compute_entropy_bytes, compute_packed_bytes

__all__ = ["compute_entropy_bytes", "compute_packed_bytes", "decode_network", "encode_network"]
