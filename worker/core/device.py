"""Which device and number format the core computes with, detected and never assumed."""

from __future__ import annotations

import contextlib
import itertools
import platform
from contextlib import AbstractContextManager

import torch
from torch import nn

from worker.catalog import Precision


def find_device() -> torch.device:
    """The GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(model: nn.Module) -> torch.device:
    """Where the tensors of a model lie."""
    return next(itertools.chain(model.parameters(), model.buffers())).device


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware, so that it is faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """`auto` made definite for `device`."""
    if precision is not Precision.AUTO:
        return precision
    return Precision.BFLOAT16 if has_native_bfloat16(device) else Precision.FLOAT32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocasts to bfloat16 where `precision` says so; does nothing for float32."""
    if resolve_precision(precision, device) is Precision.BFLOAT16:
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def describe_device(device: torch.device) -> str:
    """A name for reports: the GPU's, or the processor's with its thread count."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
