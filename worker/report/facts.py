"""What a report is written from: plain data of a study's finished steps, no rows and no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.controls import ControlKind

TRAIN = "train"
ONE_SHOT = "one_shot"
STEP_BY_STEP = "step_by_step"
QUANTIZE = "quantize"
CHANNELS = "channels"
COMPRESS = "compress"

CONTROL_STEPS = tuple(kind.step for kind in ControlKind)

STEPS = (
    TRAIN,
    ONE_SHOT,
    STEP_BY_STEP,
    QUANTIZE,
    CHANNELS,
    COMPRESS,
    *CONTROL_STEPS,
)
"""Every step of a study, in the order of the report. The controls are absent where a study was asked to leave them."""


@dataclass(frozen=True)
class ArtifactFact:
    """A published file."""

    name: str
    kind: str
    """A value of worker.catalog.ArtifactKind."""
    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class StepFact:
    """A finished child job. spec: resolved, as JSON; result: as `GET /v1/jobs/{id}/result` answers it."""

    name: str
    job_id: str
    kind: str
    spec: Mapping[str, Any]
    result: Mapping[str, Any]
    artifacts: Sequence[ArtifactFact]
    seconds: float
    """From the start of the first attempt to the end."""
    reused: bool
    """Whether the job had been done before this study asked for it."""


@dataclass(frozen=True)
class DatasetFact:
    """What the report shows of a data set."""

    name: str
    class_names: Sequence[str]
    input_shape: tuple[int, int, int]
    """(channels, height, width)."""
    counts: Mapping[str, Sequence[int]]
    """train, validation, test → examples of each class."""
    mean: Sequence[float]
    std: Sequence[float]
    """Of all channels, or one for each."""
    samples: Sequence[Sequence[Any]]
    """[class][k]: uint8 arrays (H, W) or (H, W, 3), the first training pictures of each class."""
    is_mirrorable: bool = True
    """Whether training mirrors its pictures where it is asked to."""
    title: str | None = None
    """What its owner calls it, where somebody brought it."""
    is_test_drawn: bool = False
    """It came without a test part, which was drawn."""


@dataclass(frozen=True)
class ModuleFact:
    """A module with weights of its own. kind: torch's name of its class; shape: of its first parameter."""

    name: str
    kind: str
    shape: Sequence[int]
    parameters: int
    macs: int | None
    """Multiply-accumulates for one picture; None where they are not counted."""


@dataclass(frozen=True)
class StudyFacts:
    """Everything a report says. environment: of the process that writes it; each step recorded its own."""

    job_id: str
    spec: Mapping[str, Any]
    """The study's own spec, resolved, as JSON: dataset, architecture, effort, seed, max_accuracy_drop, language …"""
    steps: Mapping[str, StepFact]
    environment: Mapping[str, str]
    """python, torch, numpy, torchvision, constriction, tonok, os, processor, cores, threads, precision."""
    dataset: DatasetFact | None = None
    """Without it, the report has no picture of the samples and no counts by class."""
    modules: Sequence[ModuleFact] = ()
    """Of the trained network, in forward order. Without them, the report lists its layers with their weights alone."""

    @property
    def architecture(self) -> str:
        """Name of the network that was trained."""
        asked = self.steps[TRAIN].spec.get("architecture") or self.spec.get("architecture")
        return str(asked or self.steps[TRAIN].result.get("architecture"))
