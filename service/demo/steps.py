"""What the demo asks for: one job after the other, each as a client would send it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BIT_WIDTHS = (8, 6, 4, 2)


@dataclass(frozen=True)
class Step:
    """One job. name: of its model and its folder; row: its line in the table; spec: what is sent, but for the model."""

    name: str
    row: str
    kind: str
    spec: Mapping[str, Any]


FASHION_MNIST = Step(
    "baseline", "baseline", "train", {"dataset": "fashion_mnist", "architecture": "fashion_cnn", "epochs": 10}
)
DIGITS = Step(
    "baseline",
    "baseline",
    "train",
    # lenet5 has no batch norm: the default, SGD at 0.1, is too much for it.
    {"dataset": "digits", "architecture": "lenet5", "epochs": 20, "optimizer": "adamw", "learning_rate": 0.003},
)

FROM_BASELINE = (
    Step("one-shot", "one-shot pruning", "prune", {"schedule": "one_shot", "max_accuracy_drop": 1.0}),
    Step(
        "step-by-step", "step-by-step pruning", "prune", {"schedule": "geometric", "max_accuracy_drop": 1.0, "steps": 3}
    ),
    Step("quantized", "quantization", "quantize", {"bit_widths": list(BIT_WIDTHS)}),
    Step(
        "channels",
        "channel pruning",
        "prune",
        {"pattern": "channels", "scope": "uniform", "sparsity": 0.5, "fine_tune_epochs": 2},
    ),
    Step("compressed", "compressed file", "compress", {"effort": "quick", "max_accuracy_drop": 1.0}),
)
