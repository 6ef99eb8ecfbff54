"""Builds the coder's inner loop: `python -m worker.coding`."""

from __future__ import annotations

import subprocess
import sys

from worker.coding.kernel import compile_kernel


def main() -> int:
    """Builds the kernel, or says what is slower without it."""
    try:
        compile_kernel()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(
            f"The coder's kernel could not be built ({error}): compressed files are written and read by Python, "
            "with the same bytes and some twenty times slower. `$CC` names a C compiler.\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
