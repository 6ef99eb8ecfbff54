"""What a compression spends on training, as plain data: loads without torch."""

from __future__ import annotations

from dataclasses import dataclass

from worker.catalog import Effort


@dataclass(frozen=True)
class QatStage:
    """One stretch of training while quantized, at whose end `sparsity` of the narrowed weights are zero.

    is_plain: trains on the pictures as they are stored. What has little capacity left does better not to spend it on
    pictures that nobody will show it (He et al. 2019, arXiv:1909.09148).
    """

    sparsity: float
    epochs: int
    learning_rate: float
    is_plain: bool = False


@dataclass(frozen=True)
class CompressionPlan:
    """What a compression spends. channel_sparsity: how much narrower the network is made before it is quantized.

    teacher_epochs: that the dense model is trained on for before it teaches. max_shift: pixels that training pictures
    are shifted by at most. refinements: stages between the last one within the drop and the first beyond it, each as
    long as that one, or as the plan's last where that one was hopeless. dense_rate: peak learning rate of what is not
    quantized yet.
    """

    narrow_epochs: int
    stages: tuple[QatStage, ...]
    refinements: int = 0
    teacher_epochs: int = 0
    max_shift: int = 0
    channel_sparsity: float = 0.5
    bit_width: int = 4
    activation_bit_width: int = 8
    dense_rate: float = 0.05


PLANS = {
    Effort.QUICK: CompressionPlan(
        3, (QatStage(0.8, 6, 0.04), QatStage(0.87, 6, 0.03, is_plain=True)), refinements=1, max_shift=1
    ),
    Effort.STANDARD: CompressionPlan(
        10,
        (
            QatStage(0.8, 8, 0.04),
            QatStage(0.87, 10, 0.03),
            QatStage(0.9, 12, 0.03, is_plain=True),
            QatStage(0.92, 12, 0.03, is_plain=True),
        ),
        refinements=1,
        teacher_epochs=10,
        max_shift=1,
        channel_sparsity=0.6,
    ),
    # Not simply longer: stages of 24 epochs after a teacher of 40 ended no better (docs/decisions/teaching.md).
    Effort.THOROUGH: CompressionPlan(
        12,
        (
            QatStage(0.8, 8, 0.04),
            QatStage(0.87, 10, 0.03),
            QatStage(0.9, 12, 0.03, is_plain=True),
            *(QatStage(sparsity, 14, 0.03, is_plain=True) for sparsity in (0.92, 0.94, 0.955)),
        ),
        refinements=2,
        teacher_epochs=12,
        max_shift=1,
        channel_sparsity=0.6,
    ),
}
