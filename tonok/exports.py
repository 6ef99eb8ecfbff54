"""What an `export` job wrote of a model, and what became of it elsewhere."""

from __future__ import annotations

from tonok.records import Record


class ExportMemory(Record):
    """What a device needs: flash for constants, the code on top; RAM that the caller gives."""

    constant_bytes: int
    ram_bytes: int
    weight_bytes: int | None = None


class ExportLatency(Record):
    """Milliseconds for one picture."""

    median_ms: float
    p95_ms: float | None
    p99_ms: float
    threads: int | None


class ExportRun(Record):
    """What the file's own runtime answered on the test split, beside what the service computes of the model."""

    runtime: str
    num_examples: int
    accuracy: float
    agreement: float
    num_identical: int
    latency: ExportLatency


class ExportDevice(Record):
    """What the file takes and answers on an emulated microcontroller; the stack is part of the RAM."""

    board: str
    core: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    instructions_per_picture: int
    set_up_instructions: int | None
    num_examples: int
    num_identical: int


class ExportResult(Record):
    """Of an `export` job."""

    model_id: str
    target: str
    format: str
    num_bytes: int
    weight_type: str | None
    memory: ExportMemory | None
    run: ExportRun | None
    device: ExportDevice | None
