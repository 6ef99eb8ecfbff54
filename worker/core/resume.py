"""Finished steps of a job: kept in its scratch folder, and turned back into what came out of them.

Imported inside `run` only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worker.core.baseline import Baseline
from worker.core.integer import IntegerNetwork, round_floats
from worker.core.models import build_model
from worker.core.quantization.deploy import extract_integers

MANTISSA_BITS = 5
"""Scales and biases are rounded to so many bits: an error of 1.6 % at most, far below a step of the integers."""


def open_folder(scratch: Path, plan: str) -> Path:
    """A folder for the steps of one plan, made if need be: an attempt whose plan is another one, as after an upgrade,
    finds none of the steps before and begins anew.
    """
    folder = scratch / hashlib.sha256(plan.encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    return folder


def keep_step(folder: Path, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a finished step from `folder`, or computed now and kept there for the next attempt.

    compute returns tensors, numbers, strings, and lists and dicts of them.
    """
    path = folder / f"{name}.step"
    if path.exists():
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        return kept
    result = compute()
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        torch.save(result, stream)
        # Or a power cut may leave the name without its bytes, and every later attempt would stumble over it.
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    return result


def rebuild_model(baseline: Baseline, kept: dict[str, Any]) -> nn.Module:
    """The float model of a kept step (`widths` and `state`), in evaluation mode, where the baseline's lies."""
    info = baseline.info
    model = build_model(
        info.architecture, kept["widths"], input_shape=info.input_shape, num_classes=len(info.class_names)
    )
    model.load_state_dict(kept["state"])
    return model.to(next(baseline.model.parameters()).device).eval()


def extract_network(baseline: Baseline, model: nn.Module) -> IntegerNetwork:
    """The integers of a quantized descendant of the baseline."""
    info = baseline.info
    return extract_integers(
        model,
        info.architecture,
        input_shape=info.input_shape,
        class_names=info.class_names,
        mean=info.mean,
        std=info.std,
    )


def extract_rounded(baseline: Baseline, model: nn.Module) -> IntegerNetwork:
    """The same as `compress` stores them."""
    return round_floats(extract_network(baseline, model), MANTISSA_BITS)
