"""How the archives of a data set are had: from the data set folder, a mirror, or torchvision's servers."""

from __future__ import annotations

import io
import logging
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from torchvision.datasets.utils import check_integrity, download_url

from storage.errors import DatasetUnavailable, InvalidDataset
from worker.catalog import DatasetName

log = logging.getLogger(__name__)

_NOT_HAD = (RuntimeError, OSError, EOFError, ValueError, HTTPException)
"""What torchvision raises of an address that answers nothing, or something else; a URLError is an OSError."""
_NOT_READ = (
    OSError, EOFError, ValueError, LookupError, zlib.error, tarfile.TarError, zipfile.BadZipFile, InvalidDataset,
)  # fmt: skip
"""What a file raises that is none of its format, or lacks something."""


@dataclass(frozen=True)
class Archive:
    """A file as its publisher gives it. md5: of its bytes, in hexadecimal; urls: where it is, the best first."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Download:
    """The archives of a data set.

    title: what people call it. folder: where they lie in the data set folder, and perhaps in a mirror, with slashes.
    contents: the archives in words.
    """

    title: str
    folder: str
    archives: tuple[Archive, ...]
    contents: str

    def list_places(self, root: Path) -> tuple[Path, ...]:
        """Where in a folder of data sets its archives may lie: other data sets have files of the same names."""
        return (root / self.folder, root / self.folder.split("/")[0], root)

    @contextmanager
    def check_reading(self) -> Iterator[None]:
        """Turns what is raised while its archives are read into DatasetUnavailable."""
        try:
            yield
        except _NOT_READ as error:
            # Of the system's errors the reason alone: the rest is a path of this machine.
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise DatasetUnavailable(
                f"The archives of {self.title} are not what is expected of them, or their folder cannot be used: "
                f"{reason}"
            ) from error


def name_download(title: str, folder: str, archives: tuple[Archive, ...]) -> Download:
    """A download whose archives are told by their names."""
    *names, last = [archive.name for archive in archives]
    contents = f"the original files {', '.join(names)} and {last}" if names else f"the original file {last}"
    return Download(title, folder, archives, contents)


def ensure_archives(download: Download, root: Path, mirror: str | None) -> list[Path]:
    """The archives of a data set, in their order, each of the MD5 that is expected.

    Looks in `root`; what is not there is had from `mirror` (a folder, or an https:// URL), then from torchvision's
    servers, and laid into `<root>/<folder>` once all of it is whole, each file by one rename: none is ever seen that is
    half there, and whatever else lies in the folder stays. Raises DatasetUnavailable, which says what to do.
    """
    found = {archive.name: _find(archive, download.list_places(root)) for archive in download.archives}
    missing = [archive for archive in download.archives if found[archive.name] is None]
    target = root / download.folder
    if missing:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as temporary:
                for archive in missing:
                    _fetch(archive, download, mirror, Path(temporary))
                target.mkdir(parents=True, exist_ok=True)
                for archive in missing:
                    Path(temporary, archive.name).replace(target / archive.name)
        except _NOT_HAD as error:
            raise DatasetUnavailable(
                f"{download.title} is not in the dataset folder, and neither the mirror nor torchvision's servers gave "
                f"it. Set TONOK_DATASET_MIRROR to a folder (or https:// URL) that holds {download.contents}, or "
                f"TONOK_DATASET_DIR to a folder that has {download.folder}."
            ) from error
    return [found[archive.name] or target / archive.name for archive in download.archives]


def _find(archive: Archive, places: Sequence[Path]) -> Path | None:
    paths = [place / archive.name for place in places]
    return next((path for path in paths if check_integrity(path, archive.md5)), None)


def _fetch(archive: Archive, download: Download, mirror: str | None, folder: Path) -> None:
    """Lays the archive into `folder`. Raises one of _NOT_HAD."""
    urls = archive.urls
    if mirror is not None and mirror.startswith(("http://", "https://")):
        base = mirror.rstrip("/")
        urls = (f"{base}/{download.folder}/{archive.name}", f"{base}/{archive.name}", *urls)
    elif mirror is not None:
        path = _find(archive, download.list_places(Path(mirror).expanduser()))
        if path is not None:
            shutil.copyfile(path, folder / archive.name)
            if check_integrity(folder / archive.name, archive.md5):
                return
    last: Exception = FileNotFoundError(archive.name)
    for url in urls:
        try:
            _download(url, archive, folder)
        except _NOT_HAD as error:
            last = error
        else:
            return
    raise last


def _download(url: str, archive: Archive, folder: Path) -> None:
    # What it prints may hold a mirror's password: the log hides that, a print does not.
    told = io.StringIO()
    try:
        with redirect_stdout(told):
            download_url(url, folder, archive.name, archive.md5)
    except HTTPError as error:
        error.close()  # it is an answer too, and holds the connection
        raise
    finally:
        for line in told.getvalue().split("\n"):
            if line.strip():  # it ends with one that is empty
                log.info("%s", line.strip())


def check_class_names(name: DatasetName, content: bytes) -> None:
    """content: of an archive's table of classes, one a line. Raises ValueError where they are not the catalogue's."""
    found = tuple(line.strip() for line in content.decode().splitlines() if line.strip())
    if found != name.facts.class_names:
        raise ValueError(f"its classes are {', '.join(found)}")


def read_tar(path: Path, names: Sequence[str]) -> list[bytes]:
    """The files of just these names in a packed tar file, in their order; nothing is unpacked to disk.

    Raises KeyError where one is missing, and what tarfile raises of a damaged file.
    """
    contents: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name in names and (stream := tar.extractfile(member)) is not None:
                contents[member.name] = stream.read()
                if len(contents) == len(names):  # what follows need not be unpacked
                    break
    return [contents[name] for name in names]
