"""FashionMNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747) through torchvision, which checks its MD5 sums."""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from urllib.error import URLError

from torchvision.datasets import FashionMNIST as TorchvisionFashionMNIST

from storage.errors import DatasetUnavailable
from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split

FOLDER = "FashionMNIST"

log = logging.getLogger(__name__)


def load(root: Path, mirror: str | None) -> RawDataset:
    """60,000 training and 10,000 test pictures of 28x28 grey pixels.

    Looks in `<root>/FashionMNIST/raw`, then fills that folder from `mirror` (a folder of the four .gz files, or
    an https:// URL), then from torchvision's own servers. Raises DatasetUnavailable.
    """
    parts = []
    _ensure(root, mirror)
    for train in (True, False):
        dataset = TorchvisionFashionMNIST(str(root), train=train)
        parts.append(Split(dataset.data.unsqueeze(1).contiguous(), dataset.targets.long()))
    # Mean and deviation of the 60,000 training pictures, each pixel scaled to 0..1. The mean is 72.94 pixel values;
    # as a whole one, 73 / 255, it is an exact zero point of the integer network.
    return RawDataset(
        parts[0],
        parts[1],
        DatasetName.FASHION_MNIST.facts.class_names,
        mean=(0.28627,),
        std=(0.3530,),
        validation_size=5000,
        is_mirrorable=DatasetName.FASHION_MNIST.facts.is_mirrorable,
    )


def _ensure(root: Path, mirror: str | None) -> None:
    """Fills `<root>/FashionMNIST` in one rename, so that no half-downloaded folder is ever seen."""
    target = root / FOLDER
    if _is_complete(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
        temporary = Path(folder)
        sources = TorchvisionFashionMNIST.mirrors
        if mirror is not None and mirror.startswith(("http://", "https://")):
            sources = [mirror.rstrip("/") + "/", *sources]
        elif mirror is not None:
            _copy_archives(Path(mirror).expanduser(), temporary / FOLDER / "raw")
        try:
            _download(temporary, sources)
        except (RuntimeError, URLError, OSError, EOFError) as error:
            raise DatasetUnavailable(
                "FashionMNIST is not in the dataset folder, and neither the mirror nor torchvision's servers gave "
                "it. Set TONOK_DATASET_MIRROR to a folder (or https:// URL) that holds the four original .gz "
                "files, or TONOK_DATASET_DIR to a folder that has FashionMNIST/raw."
            ) from error
        if target.exists() and not _is_complete(root):
            shutil.rmtree(target)
        try:
            (temporary / FOLDER).rename(target)
        except OSError:
            # Another job was faster: what it put there is checked like our own.
            if not _is_complete(root):
                raise


def _is_complete(root: Path) -> bool:
    try:
        TorchvisionFashionMNIST(str(root), train=True)
        TorchvisionFashionMNIST(str(root), train=False)
    except (RuntimeError, OSError, ValueError, AssertionError):
        return False
    return True


def _copy_archives(source: Path, raw: Path) -> None:
    raw.mkdir(parents=True)
    for url_name, _md5 in TorchvisionFashionMNIST.resources:
        if (source / url_name).is_file():
            shutil.copyfile(source / url_name, raw / url_name)


def _download(root: Path, sources: list[str]) -> None:
    class FashionMNIST(TorchvisionFashionMNIST):  # type: ignore[misc]
        """Named like its parent, because torchvision derives the folder from the class's name."""

        mirrors = sources

    # It prints each address that it tries, and a mirror's may hold a password: the log hides that, a print does not.
    told = io.StringIO()
    try:
        with redirect_stdout(told):
            FashionMNIST(str(root), download=True)
    finally:
        for line in told.getvalue().split("\n"):
            if line.strip():  # it ends with one that is empty
                log.info("%s", line.strip())
