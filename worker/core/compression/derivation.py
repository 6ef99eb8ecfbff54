"""How a chosen file came about: the networks that its weights came from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from worker.core.compression.candidates import Candidate
from worker.core.compression.plain import PlainFile
from worker.core.compression.qat import TrainedStage
from worker.core.compression.rounding import Rounder
from worker.core.compression.teacher import Teacher


@dataclass(frozen=True)
class Derivation:
    """What a chosen file came from. ancestry: the stages that it has behind it, in their order.

    plain: where it is quantized and no more, by more than calibration to 8 bits alone.
    """

    chosen: Candidate
    calibrated: nn.Module
    teacher: Teacher
    narrowed: nn.Module
    ancestry: tuple[TrainedStage, ...]
    rounder: Rounder
    plain: PlainFile | None
