"""An environment for each rival, made when it is first needed, from a lock file with hashes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"


def prepare_environment(name: str, folder: Path) -> Path:
    """The Python of the environment `name` below `folder`; made anew when its lock file changed.

    uv installs where it is at hand: it links what several environments share, torch above all, instead of copying
    6 GB each time. Raises CalledProcessError with what the installer said.
    """
    lock = LOCKS / f"{name}.lock"
    home = folder / name
    python = home / "bin" / "python"
    stamp = home / ".installed"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return python
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv")
    if uv is not None:
        _call(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _call(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock))
    else:
        venv.create(home, with_pip=True)
        _call(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock))
    stamp.write_text(digest, encoding="ascii")
    return python


def _call(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)
