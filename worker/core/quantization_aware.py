"""Quantization of a network to one bit width: calibrated, then trained on quantized values.

What `quantize` does for each of its widths, and what `compress` holds its own files against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from worker.core.baseline import Baseline
from worker.core.device import device_of
from worker.core.fit_progress import FitProgress
from worker.core.pruning import apply_masks_, get_masks
from worker.core.quantization import Calibration, calibrate, quantize_model
from worker.core.quantization.integer_model import extract_integers
from worker.core.resume import Checkpoints, Step
from worker.core.training import SoftTargets, TrainingSettings, fit
from worker.datasets import Dataset
from worker.integer_network import IntegerNetwork
from worker.memory_estimate import CALIBRATION_EXAMPLES

DEFAULT_EPOCHS = {8: 1, 7: 1, 6: 1, 5: 1, 4: 1, 3: 3, 2: 5}
"""Epochs of quantization-aware training by bit width: the fewer levels, the more there is to learn."""


@dataclass(frozen=True)
class QatSettings:
    """How a network is trained on quantized values. epochs: by default by bit width."""

    epochs: int | None = None
    learning_rate: float = 0.02
    distillation: bool = True
    seed: int = 0


def calibrate_network(model: nn.Module, data: Dataset) -> dict[str, Calibration]:
    """Notes what each layer reads of training pictures."""
    return calibrate(model, data.normalize(data.train.images[:CALIBRATION_EXAMPLES].to(device_of(model))))


def quantize_network(
    model: nn.Module,
    data: Dataset,
    bit_width: int,
    activation_bit_width: int | None = None,
    *,
    per_channel: bool = True,
    calibration: Mapping[str, Calibration] | None = None,
) -> nn.Module:
    """Builds a copy whose layers compute on quantized values, calibrated and not trained yet.

    activation_bit_width: by default the weights'. per_channel: one weight scale per output channel, else one per layer.
    """
    return quantize_model(
        model,
        bit_width,
        calibrate_network(model, data) if calibration is None else calibration,
        mean=data.mean,
        std=data.std,
        activation_bit_width=activation_bit_width,
        per_channel=per_channel,
    )


def train_quantized(
    model: nn.Module,
    bit_width: int,
    baseline: Baseline,
    settings: QatSettings,
    progress: FitProgress,
    get_targets: Callable[[], SoftTargets] | None,
    checkpoints: Checkpoints,
    name: str,
) -> Step:
    """Trains what `quantize_network` made of the baseline, in place; weights that are zero there stay zero.

    Where `checkpoints` hold the step `name`, takes that instead. get_targets: None to train towards the labels alone.
    Returns the step: the epochs as `history`, and how they went as `training`.
    """
    masks = get_masks(baseline.model)

    def compute() -> Step:
        history = fit(
            model,
            baseline.data,
            TrainingSettings(
                epochs=settings.epochs or DEFAULT_EPOCHS[bit_width],
                learning_rate=settings.learning_rate,
                warmup=0.1,
                distillation_weight=0.7 if settings.distillation else 0.0,
                seed=settings.seed,
            ),
            soft_targets=None if get_targets is None else get_targets(),
            after_step=lambda trained: apply_masks_(trained, masks),
            on_batch=progress.on_batch,
            on_epoch=progress.on_epoch,
            on_retry=progress.on_retry,
        )
        return {"state": model.state_dict(), "history": history.to_json(), "training": history.describe_outcome()}

    step = checkpoints.keep(name, compute)
    model.load_state_dict(step["state"])
    return step


def extract_network(baseline: Baseline, model: nn.Module) -> IntegerNetwork:
    """Extracts the integers of a quantized descendant of the baseline."""
    info = baseline.info
    return extract_integers(
        model,
        info.architecture,
        input_shape=info.input_shape,
        class_names=info.class_names,
        mean=info.mean,
        std=info.std,
        resize=baseline.data.resize,
    )
