"""Schemathesis as a user would call it: its command line, every check."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.fuzz.service import CHECKOUT, Service

CONFIG = CHECKOUT / "tests" / "fuzz" / "schemathesis.toml"


def run_schemathesis(
    service: Service, *, seed: int, seconds: int, max_examples: int, phases: str = "examples,coverage,fuzzing,stateful"
) -> subprocess.CompletedProcess[str]:
    """Reads the document from the service and sends it what it allows and what it does not."""
    options = {
        "--seed": seed,
        "--max-time": seconds,
        "--max-examples": max_examples,
        "--phases": phases,
        "--request-timeout": 60,
        "--generation-database": "none",
        # It measures the machine.
        "--suppress-health-check": "too_slow",
    }
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", f"{service.url}/openapi.json"),
            *("--no-color", "--continue-on-failure"),
            *(str(word) for pair in options.items() for word in pair),
            *(word for header in service.headers.items() for word in ("--header", ": ".join(header))),
        ],
        # Where it keeps what it finds goes with the service's data.
        cwd=service.folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 600,
        check=False,
    )
