"""Files of the dense network that are quantized and no more: no answer of `compress` is larger than one as good.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from worker.core.fit_progress import Stage
from worker.core.quantization import Calibration
from worker.core.resume import extract_rounded, keep_step
from worker.core.training import SoftTargets, compute_soft_targets
from worker.core.training_log import TrainingLog
from worker.jobs.candidates import Candidate, Gallery, choose_candidate
from worker.jobs.compress_timetable import PLAIN
from worker.jobs.quantize import QuantizeSpec
from worker.jobs.quantizing import calibrate_baseline, quantize_calibrated, train_quantized

BIT_WIDTHS = (2, 4, 6, 8)
"""Those that `quantize` measures by default, narrowest first."""
TRAINED_BYTES = 0.9
"""A file that was trained has seldom fewer bytes than so many times the calibrated one's."""


@dataclass(frozen=True)
class Plain:
    """A plain file: its network and what was measured of it. is_trained: on quantized values, else calibrated alone."""

    model: nn.Module
    candidate: Candidate
    bit_width: int
    is_trained: bool

    def describe(self) -> list[str]:
        """What went into it, for the report."""
        if not self.is_trained:
            return [f"{self.bit_width} bit quantization, calibrated, without training"]
        return [
            "distillation from the dense model",
            f"quantization-aware training with learned step sizes, {self.bit_width} bit weights and activations",
        ]


class PlainQuantizer:
    """Makes them as `quantize` does by default."""

    def __init__(self, gallery: Gallery, trainings: TrainingLog, seed: int) -> None:
        self.gallery, self.trainings, self.baseline = gallery, trainings, gallery.baseline
        self.spec = QuantizeSpec(model_id="latest", seed=seed)
        self.found: list[Plain] = []

    @functools.cached_property
    def calibration(self) -> dict[str, Calibration]:
        """What each layer of the baseline reads."""
        return calibrate_baseline(self.baseline)

    @functools.cached_property
    def soft_targets(self) -> SoftTargets:
        """What the baseline says of every training picture."""
        return compute_soft_targets(self.baseline.model, self.baseline.data)

    def search(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that could be the answer instead of what is chosen from `candidates`; the narrowest one at least.

        A wider file is larger: the first that cannot be smaller than the best so far ends the search. Only what may be
        smaller, and is not good enough without training, is trained.
        """
        for position, bit_width in enumerate(BIT_WIDTHS):
            best = choose_candidate([*candidates, *(plain.candidate for plain in self.found)])
            calibrated = self.measure(bit_width, position)
            if best.within and TRAINED_BYTES * calibrated.num_bytes >= best.num_bytes:
                break
            if not self.gallery.is_good(calibrated):
                self.train(bit_width, position)
        return [plain.candidate for plain in self.found]

    def measure(self, bit_width: int, position: int) -> Candidate:
        """The file that is calibrated alone. position: of the width."""
        model = quantize_calibrated(self.spec, self.baseline, self.calibration, bit_width)
        return self.keep(model, bit_width, (position + 0.2) / len(BIT_WIDTHS), is_trained=False)

    def train(self, bit_width: int, position: int) -> Candidate:
        """The file that is trained on quantized values as well."""
        gallery = self.gallery
        model = quantize_calibrated(self.spec, self.baseline, self.calibration, bit_width)
        phase = f"quantizing alone to {bit_width} bit"
        begin, end = ((position + done) / len(BIT_WIDTHS) for done in (0.2, 0.9))
        stage = Stage(
            gallery.context, phase, series=f"plain{bit_width}bit_", timetable=gallery.timetable, part=PLAIN,
            begin=begin, end=end,
        )  # fmt: skip

        def compute() -> dict[str, Any]:
            history = train_quantized(self.spec, self.baseline, model, bit_width, self.soft_targets, stage)
            return {"state": model.state_dict(), "training": history.describe_outcome()}

        kept = keep_step(gallery.folder, f"plain-{bit_width}bit", compute)
        self.trainings.add(phase, kept["training"])
        model.load_state_dict(kept["state"])
        return self.keep(model, bit_width, (position + 1) / len(BIT_WIDTHS), is_trained=True)

    def keep(self, model: nn.Module, bit_width: int, share: float, *, is_trained: bool) -> Candidate:
        """Measures a network that is trained as far as it will be."""
        candidate = self.gallery.measure(
            f"{bit_width} bit, quantized alone, {'trained' if is_trained else 'calibrated'}",
            functools.partial(extract_rounded, self.baseline, model),
            PLAIN,
            share,
            is_plain=True,
        )
        self.found.append(Plain(model, candidate, bit_width, is_trained))
        return candidate

    def get(self, candidate: Candidate) -> Plain | None:
        """The plain network of a candidate; None for one that is not of these."""
        return next((plain for plain in self.found if plain.candidate == candidate), None)
