"""Entropy coding of integer weights; the compressed file. NumPy and `constriction`, no PyTorch."""

from __future__ import annotations

from worker.core.coding.container import decode_network, encode_network

__all__ = ["decode_network", "encode_network"]
