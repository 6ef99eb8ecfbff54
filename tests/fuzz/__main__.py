"""`python -m tests.fuzz [--minutes 20] [--seed 0] [--key]`: Schemathesis against the running service."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.schemathesis import run_schemathesis
from tests.fuzz.service import run_service


def main() -> int:
    """Schemathesis' exit code; its findings go to the terminal."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send the API anything at all.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", action="store_true", help="of a service that lets nobody in without a key")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tonok-fuzz-") as folder,
        run_service(Path(folder), with_key=arguments.key) as service,
    ):
        ended = run_schemathesis(service, seed=arguments.seed, seconds=int(60 * arguments.minutes), max_examples=50)
        print(ended.stdout)
        return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
