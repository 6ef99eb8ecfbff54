"""The modules of a network: its layers, those with parameters, and its batch norms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from worker.core.models.build import get_record


def list_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Name → module of every convolution and linear layer, in the order of the network's record."""
    modules = ((node.name, model.get_submodule(node.name)) for node in get_record(model).nodes)
    return {name: module for name, module in modules if isinstance(module, nn.Conv2d | nn.Linear)}


@dataclass(frozen=True)
class ModuleOutline:
    """A module with parameters of its own. kind: the name of its class; shape: of its first parameter."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def outline_modules(model: nn.Module) -> list[ModuleOutline]:
    """Every module that has parameters of its own, in module order."""
    owners = [(name, module, list(module.parameters(recurse=False))) for name, module in model.named_modules()]
    return [
        ModuleOutline(name, type(module).__name__, tuple(own[0].shape), sum(one.numel() for one in own))
        for name, module, own in owners
        if own
    ]


def replace_module(model: nn.Module, name: str, replacement: nn.Module) -> None:
    """Puts `replacement` where `name` (dotted) is."""
    parent_name, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent_name), child, replacement)


def get_batch_norm(model: nn.Module, name: str) -> nn.BatchNorm2d:
    """The batch norm of that (dotted) name."""
    norm = model.get_submodule(name)
    if not isinstance(norm, nn.BatchNorm2d):
        raise TypeError(f"{name} is no batch norm")
    return norm


def compute_batch_norm_affine(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """(gain, shift), float64 (channels,), such that in evaluation mode norm(x)[c] = gain[c] * x[c] + shift[c]."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return gain, norm.bias.detach().double() - gain * norm.running_mean.double()
