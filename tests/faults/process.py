"""`python -m tests.faults.process MODULE …`: runs `python -m MODULE …` with the points of points.py in force."""

from __future__ import annotations

import runpy
import sys

from tests.faults.points import install

if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
