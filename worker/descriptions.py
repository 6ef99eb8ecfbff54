"""One line for each name that is not a module of its own. Torch-free: the API shows them beside the names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from worker.catalog import (
    Effort,
    Precision,
    PruningPattern,
    QuantizationMode,
    SourceForm,
    WeightType,
)

DESCRIPTIONS: Mapping[StrEnum, str] = {
    PruningPattern.WEIGHTS: "Single weights become zero; shapes stay.",
    PruningPattern.CHANNELS: "Whole channels go: the network gets narrower, its MACs and latency fall.",
    QuantizationMode.POST_TRAINING: "Ranges from sample batches; no gradients, seconds.",
    QuantizationMode.QUANTIZATION_AWARE: "Trained with fake quantization: slower, and the way to 4 and 2 bits.",
    Effort.QUICK: "A few minutes.",
    Effort.STANDARD: "Searches longer for a smaller file.",
    Effort.THOROUGH: "As small as it gets; may take hours.",
    SourceForm.PLAIN: "Packed in flash, each layer at its own bit width.",
    SourceForm.COMPRESSED: "As the bytes of the .tonok file in flash, decoded at start into RAM.",
    WeightType.INT8: "One byte each, with a scale for each channel.",
    WeightType.INT4: "Half a byte each: of models of up to four bits.",
    WeightType.FLOAT32: "Four bytes each, for runtimes without quantized layers.",
    Precision.AUTO: "bfloat16 where the processor computes it natively, else float32.",
    Precision.FLOAT32: "Single precision throughout.",
    Precision.BFLOAT16: "bfloat16 autocast, whatever the processor.",
}
