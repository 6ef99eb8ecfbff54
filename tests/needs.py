"""What some tests need besides the packages of the lock file: where it is, and how to get it.

`python -m tests.needs` installs Debian's packages where it may: on Debian, as root, once. `make test` calls it first.
What cannot be had skips its tests, and tests/conftest.py says so at the end of the run.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from storage.settings import Settings
from worker.exports.c.cortex_m import PACKAGES, find_tools
from worker.exports.exporter import NoDevice

INSTALL_CHROMIUM = "apt-get install chromium"
NO_CHROMIUM = f"needs Debian's Chromium: `{INSTALL_CHROMIUM}`"
INSTALL_CORTEX_M = f"apt-get install {PACKAGES}"
NO_CORTEX_M = f"needs a cross compiler and an emulator of Cortex-M: `{INSTALL_CORTEX_M}`"
NO_FASHION_MNIST = (
    "needs FashionMNIST's four files: name their folder in TONOK_DATASET_MIRROR, or lay it at "
    "../shared/data/fashion-mnist"
)
NO_CIFAR10 = (
    "needs the pictures of CIFAR-10 in one zip file: lay it at ../shared/data/cifar10-images/cifar10-images.zip"
)
NO_MOUNT = "needs to mount a file system of a fixed size: run as root, in a container with `--cap-add SYS_ADMIN`"
SWITCH = "TONOK_TEST_INSTALL"
"""`0` keeps the tests from installing anything."""
_SHARED = Path(__file__).parents[2] / "shared" / "data" / "fashion-mnist"
_CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10-images" / "cifar10-images.zip"
# A machine without a network must not wait for one, nor a terminal be asked anything.
_APT = ("apt-get", "-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=60")
_UPDATE_S = 120
_INSTALL_S = 600


def find_chromium() -> Path | None:
    """The executable, None where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return None if found is None else Path(found)


def has_cortex_m() -> bool:
    """Whether networks can be built for an emulated microcontroller and run there."""
    try:
        find_tools()
    except NoDevice:
        return False
    return True


def find_fashion_mnist() -> Path | None:
    """A folder of the four original files: the dataset folder, the mirror, or the folder beside the checkout."""
    from torchvision.datasets import FashionMNIST

    settings = Settings()
    places = [settings.resolved_dataset_dir / "FashionMNIST" / "raw", _SHARED]
    if settings.dataset_mirror is not None and "://" not in settings.dataset_mirror:
        places.insert(1, Path(settings.dataset_mirror).expanduser())
    names = [name for name, _ in FashionMNIST.resources]
    return next((place for place in places if all((place / name).is_file() for name in names)), None)


def find_cifar10() -> Path | None:
    """The zip file of 60,000 colour pictures in folders of splits and classes, None where it is not."""
    return _CIFAR10 if _CIFAR10.is_file() else None


def may_install(system: Mapping[str, str], *, is_root: bool, has_apt: bool, environment: Mapping[str, str]) -> bool:
    """Whether Debian's packages can be installed without asking. system: of /etc/os-release.

    Not on Ubuntu, whose package of Chromium's name is an empty one that fetches a snap.
    """
    kinds = {system.get("ID", ""), *system.get("ID_LIKE", "").split()}
    is_debian = "debian" in kinds and system.get("ID") != "ubuntu"
    return is_debian and is_root and has_apt and environment.get(SWITCH) != "0"


def _read_system() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def install(*packages: str) -> str | None:
    """Installs Debian's packages; returns why not, None where it worked."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    steps = (
        ((*_APT, "update"), _UPDATE_S),
        ((*_APT, "install", "--yes", "--no-install-recommends", *packages), _INSTALL_S),
    )
    for command, seconds in steps:
        try:
            subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
            )
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} did not end within {seconds} s"
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else f"{' '.join(command)} ended with {error.returncode}"
    return None


def main() -> None:
    """Never fails: what is missing then is told at the end of the tests."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    has_apt = shutil.which("apt-get") is not None
    if not may_install(_read_system(), is_root=is_root, has_apt=has_apt, environment=os.environ):
        return
    for is_there, packages in ((find_chromium() is not None, "chromium"), (has_cortex_m(), PACKAGES)):
        if is_there:
            continue
        sys.stdout.write(f"installing {packages} for the tests that need it ({SWITCH}=0 leaves it out) ...\n")
        sys.stdout.flush()
        if (reason := install(*packages.split())) is not None:
            sys.stdout.write(f"{packages} could not be installed: {reason}\n")


if __name__ == "__main__":
    main()
