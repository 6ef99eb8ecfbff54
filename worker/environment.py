"""What computed a result: versions and machine, for a report's appendix."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

from storage.version import VERSION

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "torch-pruning", "constriction")


def describe_environment(threads: int) -> dict[str, str]:
    """Names and versions as text; a package that is not installed is left out."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "tonok": VERSION,
        "python": platform.python_version(),
        **versions,
        "os": f"{platform.system()} {platform.release()}",
        "processor": find_processor(),
        "cores": str(os.cpu_count()),
        "threads": str(threads),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def find_processor() -> str:
    """The processor's own name where the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
