"""`python -m tests.fuzz.readers [--inputs 1000000] [--seed 0]`: the two readers of `.tonok` files against each other.

The service's reader and the one that is written from docs/format.md get the same files; both must read the same
network, or both refuse with their one error. Any other ending is written to the findings folder: the file and a line
that says what happened. An input is known by its number, so that one run can be gone on with (`--start`).
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import InvalidModel
from tests.fuzz.mutations import Mutator
from worker.coding import decode_network, reader
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.network.operations.base import InvalidNetwork
from worker.network.record import parse_network
from worker.picture_policy import ResizePolicy

MEMORY_BYTES = 3 << 30
"""Of a process's address space: where it ends, a reader fails with MemoryError, which is a finding."""
SECONDS_PER_INPUT = 60
"""Processor seconds of both readers together: a file may hold 2^20 decisions, and none of ours holds so many."""
INPUTS_PER_TASK = 500


class TooSlow(Exception):
    """An input took more processor time than it may."""


@dataclass(frozen=True)
class Finding:
    """An input on which the readers do not agree, or that one of them does not survive."""

    number: int
    mutation: str
    what: str
    data: bytes


@dataclass
class Tally:
    """What a stretch of inputs came to."""

    endings: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_bytes: int = 0

    def add(self, other: Tally) -> None:
        self.endings += other.endings
        self.findings += other.findings
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)


def read_with_service(data: bytes) -> IntegerNetwork | None:
    """The network, or None where it is refused."""
    try:
        return decode_network(data)
    except InvalidModel:
        return None


def read_with_reference(data: bytes) -> IntegerNetwork | None:
    """The network, or None where it is refused."""
    try:
        read: dict[str, Any] = reader.read_file(data)
    except reader.InvalidModel:
        return None
    return build_network(read)


def build_network(read: dict[str, Any]) -> IntegerNetwork | None:
    """What the reference read as the service has it, or None where the record, to it mere data, is of no network."""
    record = read.get("network")
    try:
        network = None if record is None else parse_network(json.dumps(record, separators=(",", ":")))
    except InvalidNetwork:
        return None
    resize = read.get("resize")
    return IntegerNetwork(
        **read
        | {
            "layers": tuple(IntegerLayer(**layer) for layer in read["layers"]),
            "affines": tuple(IntegerAffine(**affine) for affine in read.get("affines", ())),
            "resize": None if resize is None else ResizePolicy.model_validate(resize),
            "network": network,
        }
    )


def are_same(one: IntegerNetwork, other: IntegerNetwork) -> bool:
    """Field by field, floats and arrays bit by bit: 0.0 is not -0.0."""
    facts, others = (repr(replace(network, layers=(), affines=())) for network in (one, other))
    return facts == others and _describe_parts(one) == _describe_parts(other)


def _describe_parts(network: IntegerNetwork) -> list[list[Any]]:
    parts: list[IntegerLayer | IntegerAffine] = [*network.layers, *network.affines]
    return [[_describe(getattr(part, field.name)) for field in fields(part)] for part in parts]


def _describe(value: Any) -> Any:
    return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def compare_readers(data: bytes) -> str:
    """`read` or `refused` where both readers say so; else what went wrong, in a line."""
    endings: list[IntegerNetwork | None] = []
    for name, read in (("service", read_with_service), ("reference", read_with_reference)):
        try:
            endings.append(read(data))
        except Exception as error:  # noqa: BLE001 - the one error is caught already: all else is what is looked for
            return f"{name}: {type(error).__name__}: {error}"
    service, reference = endings
    if service is None and reference is None:
        return "refused"
    if service is None or reference is None:
        return f"read by the {'service' if reference is None else 'reference'} alone"
    return "read" if are_same(service, reference) else "two different networks"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Processor time, so that a busy machine is no finding."""

    def stop(*_: object) -> None:
        raise TooSlow(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def check_inputs(mutator: Mutator, numbers: range) -> Tally:
    """Makes each input of these numbers and gives it to both readers. A warning of NumPy's counts as an error."""
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in numbers:
            mutation, data = mutator.make(number)
            started = time.process_time()
            with _time_limit(SECONDS_PER_INPUT):
                ending = compare_readers(data)
            tally.slowest_s = max(tally.slowest_s, time.process_time() - started)
            if ending in ("read", "refused"):
                tally.endings[f"{mutation}: {ending}"] += 1
            else:
                tally.endings["finding"] += 1
                tally.findings.append(Finding(number, mutation, ending, data))
    tally.peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return tally


_mutators: dict[int, Mutator] = {}


def _start_process(seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _mutators[seed] = Mutator(seed)
    # Nothing here makes cycles worth looking for among what stays.
    gc.freeze()


def _check_in_process(seed: int, first: int, last: int) -> Tally:
    return check_inputs(_mutators[seed], range(first, last))


def _write_findings(folder: Path, findings: list[Finding]) -> None:
    for finding in findings:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{finding.number}.tonok").write_bytes(finding.data)
        with (folder / "findings.txt").open("a") as file:
            file.write(f"{finding.number} {finding.mutation}: {finding.what}\n")


def run(seed: int, numbers: range, num_processes: int, folder: Path) -> Tally:
    """All inputs, over so many processes; a line on standard error every ten seconds."""
    tally, started, said = Tally(), time.monotonic(), 0.0
    stretches = iter(range(numbers.start, numbers.stop, INPUTS_PER_TASK))
    with ProcessPoolExecutor(num_processes, initializer=_start_process, initargs=(seed,)) as pool:

        def submit() -> set[Any]:
            first = next(stretches, None)
            if first is None:
                return set()
            return {pool.submit(_check_in_process, seed, first, min(first + INPUTS_PER_TASK, numbers.stop))}

        waiting = set().union(*(submit() for _ in range(2 * num_processes)))
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                part = future.result()
                tally.add(part)
                _write_findings(folder, part.findings)
                waiting |= submit()
            seconds = time.monotonic() - started
            if seconds - said >= 10 or not waiting:
                said, num = seconds, tally.endings.total()
                print(f"{num} inputs, {num / seconds:.0f} a second, {len(tally.findings)} findings", file=sys.stderr)
    return tally


def main() -> int:
    """0 where the readers agree about every input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.readers", description="Two readers, the same files.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--findings", type=Path, default=Path(".tonok/fuzz-readers"), help="folder for what is found")
    arguments = parser.parse_args()
    started = time.monotonic()
    numbers = range(arguments.start, arguments.start + arguments.inputs)
    tally = run(arguments.seed, numbers, arguments.processes, arguments.findings)
    seconds = time.monotonic() - started
    said = {
        "inputs": tally.endings.total(),
        "seed": arguments.seed,
        "first": arguments.start,
        "seconds": round(seconds, 1),
        "inputs_per_s": round(tally.endings.total() / seconds, 1),
        "slowest_cpu_s": round(tally.slowest_s, 2),
        "peak_mib": tally.peak_bytes >> 20,
        "findings": len(tally.findings),
        "endings": dict(sorted(tally.endings.items())),
    }
    print(json.dumps(said, indent=2))
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
