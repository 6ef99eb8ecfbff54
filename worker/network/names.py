"""Names of a network's modules: dotted paths as PyTorch has them, from which its modules can be built."""

from __future__ import annotations

import re
from collections.abc import Sequence

from worker.network.operations.base import InvalidNetwork

MAX_CHARACTERS = 255
MAX_PARTS = 16
"""Modules that lie within one another."""
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
TENSORS = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
"""In a state dict the last part tells a tensor from its module."""
ATTRIBUTES = frozenset((
    "T_destination", "_apply", "_backward_hooks", "_backward_pre_hooks", "_buffers", "_call_impl",
    "_compiled_call_impl", "_forward_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_get_backward_hooks", "_get_backward_pre_hooks",
    "_get_name", "_is_full_backward_hook", "_load_from_state_dict", "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks", "_maybe_warn_non_full_backward_hook", "_modules", "_named_members",
    "_non_persistent_buffers_set", "_parameters", "_register_load_state_dict_pre_hook", "_register_state_dict_hook",
    "_replicate_for_data_parallel", "_save_to_state_dict", "_slow_forward", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_version", "_wrapped_call_impl", "add_module", "apply", "bfloat16", "buffers",
    "call_super_init", "children", "compile", "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float",
    "forward", "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "load_state_dict",
    "modules", "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "state_dict",
    "to", "to_empty", "train", "training", "type", "xpu", "zero_grad",
))  # fmt: skip
"""What `torch.nn.Module` has itself: no module within it can be called so. Written down, as no torch is loaded here."""
OWN = frozenset({"_place", "_steps", "record"})
"""What the module of a whole network has besides, in `worker.core.models.build`."""


def check_names(names: Sequence[str]) -> None:
    """Raises InvalidNetwork at the first name that no module can have beside the others."""
    for name in names:
        if len(name) > MAX_CHARACTERS or not _NAME.fullmatch(name):
            raise InvalidNetwork(f"name: {name!r:.60} is no dotted name of letters, digits, underscores and hyphens")
        if name.count(".") >= MAX_PARTS:
            raise InvalidNetwork(f"name: {name!r:.60} has more than {MAX_PARTS} parts")
    taken = set(names)
    if len(taken) < len(names):
        raise InvalidNetwork("name: no name may come twice")
    for name in names:
        parts = name.split(".")
        reserved = next(filter(is_reserved, parts), None)
        if reserved is not None:
            raise InvalidNetwork(f"name: {name!r:.60} has the part {reserved!r:.60}, which PyTorch's modules use")
        if any(".".join(parts[:count]) in taken for count in range(1, len(parts))):
            raise InvalidNetwork(f"name: {name!r:.60} lies within the module of another node")


def is_reserved(part: str) -> bool:
    """Whether a part of a name is an attribute of every module, or the name of a tensor. Digits are none of these."""
    return part.startswith("__") or part in ATTRIBUTES | OWN | TENSORS
