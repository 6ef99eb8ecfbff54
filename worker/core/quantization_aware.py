"""Plain quantization of a stored network to one bit width: calibrated, then trained on quantized values.

What `quantize` does for each of its widths, and what `compress` holds its own files against. Imported inside `run`
only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from worker.core.baseline import Baseline
from worker.core.datasets import Dataset
from worker.core.fit_progress import Stage
from worker.core.learning import History
from worker.core.pruning import apply_masks_, get_masks
from worker.core.quantization import Calibration, calibrate, quantize_model
from worker.core.training import SoftTargets, TrainingSettings, fit, get_device
from worker.jobs.quantize import DEFAULT_EPOCHS, QuantizeSpec

CALIBRATION_EXAMPLES = 1024


def take_sample(model: nn.Module, data: Dataset) -> torch.Tensor:
    """Normalised training pictures to calibrate on, where the model lies."""
    return data.normalize(data.train.images[:CALIBRATION_EXAMPLES].to(get_device(model)))


def calibrate_baseline(baseline: Baseline) -> dict[str, Calibration]:
    """What each layer of the baseline reads."""
    return calibrate(baseline.model, take_sample(baseline.model, baseline.data))


def quantize_calibrated(
    spec: QuantizeSpec, baseline: Baseline, calibration: Mapping[str, Calibration], bit_width: int
) -> nn.Module:
    """The baseline at one width, not trained yet."""
    return quantize_model(
        baseline.model,
        bit_width,
        calibration,
        mean=baseline.data.mean,
        std=baseline.data.std,
        activation_bit_width=spec.activation_bit_width,
        per_channel=spec.per_channel,
    )


def train_quantized(
    spec: QuantizeSpec,
    baseline: Baseline,
    model: nn.Module,
    bit_width: int,
    soft_targets: SoftTargets | None,
    stage: Stage,
) -> History:
    """Trains what `quantize_calibrated` returned, in place; weights of the baseline that are zero stay zero."""
    masks = get_masks(baseline.model)
    return fit(
        model,
        baseline.data,
        TrainingSettings(
            epochs=count_epochs(spec, bit_width),
            learning_rate=spec.learning_rate,
            warmup=0.1,
            distillation_weight=0.7 if spec.distillation else 0.0,
            seed=spec.seed,
        ),
        soft_targets=soft_targets,
        after_step=lambda trained: apply_masks_(trained, masks),
        on_batch=stage.on_batch,
        on_epoch=stage.on_epoch,
        on_retry=stage.on_retry,
    )


def count_epochs(spec: QuantizeSpec, bit_width: int) -> int:
    """Epochs of training at this width."""
    return spec.epochs or DEFAULT_EPOCHS[bit_width]
