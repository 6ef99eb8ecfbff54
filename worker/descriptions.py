"""One line for each name that is not a module of its own. Torch-free: the API shows them beside the names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from worker.catalog import (
    Effort,
    Optimizer,
    Precision,
    PruningMethod,
    PruningPattern,
    PruningSchedule,
    PruningScope,
    QuantizationMode,
)

DESCRIPTIONS: Mapping[StrEnum, str] = {
    PruningMethod.MAGNITUDE: "The absolute value of a weight: small ones go first.",
    PruningMethod.RANDOM: "Chance: the control that every other method must beat.",
    PruningMethod.TAYLOR: "Weight times gradient: how much the loss would change without it.",
    PruningMethod.BATCH_NORM_SCALE: "The batch-norm gain of a channel; for channels only.",
    PruningScope.UNIFORM: "Every layer loses the same fraction.",
    PruningScope.GLOBAL: "All weights compete with one another, across layers.",
    PruningScope.LAMP: "Magnitudes scaled by what is left of their layer, then across layers (Lee et al. 2021).",
    PruningScope.ERK: "Densities by layer shape: large layers lose more (Erdős–Rényi kernel, Evci et al. 2020).",
    PruningPattern.WEIGHTS: "Single weights become zero; shapes stay.",
    PruningPattern.CHANNELS: "Whole channels go: the network gets narrower, its MACs and latency fall.",
    PruningSchedule.ONE_SHOT: "Everything at once, no retraining in between.",
    PruningSchedule.LINEAR: "The same amount at each step, retraining in between.",
    PruningSchedule.CUBIC: "Much at first, less and less towards the end, retraining in between.",
    PruningSchedule.GEOMETRIC: "The same fraction of what is left at each step, retraining in between.",
    QuantizationMode.POST_TRAINING: "Ranges from sample batches; no gradients, seconds.",
    QuantizationMode.QUANTIZATION_AWARE: "Trained with fake quantization: slower, and the way to 4 and 2 bits.",
    Effort.QUICK: "A few minutes.",
    Effort.STANDARD: "Searches longer for a smaller file.",
    Effort.THOROUGH: "As small as it gets; may take hours.",
    Optimizer.SGD: "Stochastic gradient descent with momentum.",
    Optimizer.ADAMW: "Adam with decoupled weight decay.",
    Precision.AUTO: "bfloat16 where the processor computes it natively, else float32.",
    Precision.FLOAT32: "Single precision throughout.",
    Precision.BFLOAT16: "bfloat16 autocast, whatever the processor.",
}
