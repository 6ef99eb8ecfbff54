"""What an exported network answers and how long it takes, beside what is computed here."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from worker.core.measure import describe_run, describe_times
from worker.core.training import compute_logits
from worker.datasets import Dataset, Split
from worker.exports.exporter import Device, Program
from worker.machine_load import read_moment
from worker.results.export import ExportDevice, ExportLatency, ExportRun

BUDGET_S = 120.0
"""The test split is asked for so long and no longer: the 10,000 pictures of a large network may take hours."""
MAX_DEVICE_PICTURES = 100
DEVICE_BUDGET_S = 60.0
"""An emulated microcontroller is asked for so long: it takes hundreds of times as long as this machine."""
_BATCH = 100
_WARM_UP = 5
_FEWEST_PASSES, _LEAST_TIMED_S = 50, 0.5


@torch.no_grad()
def measure_program(
    program: Program,
    model: nn.Module,
    data: Dataset,
    on_batch: Callable[[int, int], None],
    budget_s: float = BUDGET_S,
) -> ExportRun:
    """on_batch: called with the pictures that are done and those that there are."""
    latency = _measure_latency(program, data.test)
    started, num_examples, num_correct, num_agreeing, num_identical = time.monotonic(), 0, 0, 0, 0
    batches = (torch.split(part, _BATCH) for part in (data.test.images, data.test.labels))
    for images, labels in zip(*batches, strict=True):
        if num_examples and time.monotonic() - started > budget_s:
            break
        answered = torch.from_numpy(program.answer(images.numpy()))
        computed = compute_logits(model, data, Split(images, labels)).flatten(1)
        num_examples += len(images)
        num_correct += int((answered.argmax(1) == labels).sum())
        num_agreeing += int((answered.argmax(1) == computed.argmax(1)).sum())
        num_identical += int((answered == computed).all(1).sum())
        on_batch(num_examples, len(data.test))
    return ExportRun(
        runtime=program.runtime,
        num_examples=num_examples,
        num_test_examples=len(data.test),
        num_correct=num_correct,
        accuracy=num_correct / num_examples,
        num_agreeing=num_agreeing,
        agreement=num_agreeing / num_examples,
        num_identical=num_identical,
        latency=latency,
    )


@torch.no_grad()
def measure_device(device: Device, model: nn.Module, data: Dataset, budget_s: float = DEVICE_BUDGET_S) -> ExportDevice:
    """Runs the first pictures of the test split on a board. Raises NoDevice."""
    images, labels = data.test.images[:MAX_DEVICE_PICTURES], data.test.labels[:MAX_DEVICE_PICTURES]
    answers = device.answer(images.numpy(), budget_s)
    num_examples = len(answers.logits)
    computed = compute_logits(model, data, Split(images[:num_examples], labels[:num_examples])).flatten(1)
    return ExportDevice(
        board=device.board,
        core=device.core,
        compiler=device.compiler,
        emulator=device.emulator,
        flash_bytes=device.flash_bytes,
        ram_bytes=device.static_bytes + answers.stack_bytes,
        stack_bytes=answers.stack_bytes,
        instructions_per_picture=round(sum(answers.instructions) / num_examples),
        set_up_instructions=answers.set_up_instructions,
        num_examples=num_examples,
        num_asked_examples=len(images),
        num_identical=int((torch.from_numpy(answers.logits) == computed).all(1).sum()),
    )


def _measure_latency(program: Program, split: Split) -> ExportLatency:
    """Of single pictures, one after the other, warm."""
    pictures = split.images[:_FEWEST_PASSES].numpy()
    program.time(pictures[:_WARM_UP])
    before, times = read_moment(), list[float]()
    while len(times) < _FEWEST_PASSES or time.perf_counter() - before.wall_s < _LEAST_TIMED_S:
        times += program.time(pictures)
    return ExportLatency(
        **describe_times(times),
        **describe_run(before, batch_size=1, threads=program.threads, device="cpu"),
        p99_ms=round(float(np.percentile(times, 99)), 3),
    )
