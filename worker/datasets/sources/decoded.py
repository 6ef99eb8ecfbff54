"""Data sets that take more than seconds to decode: the decoded pictures are kept beside the archives."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.errors import CorruptFile
from worker.catalog import DatasetName, ResizeMode
from worker.dataset_files.importing import write_source
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import PictureSource, RefusalLog
from worker.datasets import RawDataset, load_stored
from worker.datasets.sources.downloads import Download, ensure_archives

_KEY_DIGITS = 16


def load_decoded(
    name: DatasetName,
    download: Download,
    root: Path,
    mirror: str | None,
    read: Callable[[Sequence[Path]], PictureSource],
    mode: ResizeMode = ResizeMode.SHORTER_SIDE_CENTRE_CROP,
) -> RawDataset:
    """Loads a data set from its decoded pictures, which are decoded first where they are not there.

    read: the archives' paths → their pictures, of whatever size. mode: how they become the size that the data set's
    facts say. What decides about the pictures is in the file's name, so that no file of other options is taken for this
    one. Once it is there the archives are not needed. Raises DatasetUnavailable.
    """
    channels, size, _ = name.facts.input_shape
    options = DatasetOptions(
        size=size, mode=mode, channels=3 if channels == 3 else 1, mirrorable=name.facts.is_mirrorable
    )
    path = root / download.folder / f"decoded-{_make_key(download, options)}.safetensors"
    if (found := _find_decoded(path)) is not None:
        return found
    paths = ensure_archives(download, root, mirror)
    with download.check_reading():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".decoded-") as folder:
            written, log = Path(folder, path.name), RefusalLog()
            found_facts = write_source(read(paths), written, options, log).facts
            if log.list_refused():
                raise ValueError(f"pictures in it cannot be used: {log.describe()}")
            if found_facts.class_names != name.facts.class_names:
                raise ValueError("it lacks pictures of some classes")
            written.replace(path)
        return load_stored(path)


def _make_key(download: Download, options: DatasetOptions) -> str:
    sums = " ".join(archive.md5 for archive in download.archives)
    decisive = options.model_dump_json(exclude={"label_column"})  # no archive of these has columns
    return hashlib.sha256(f"{sums} {decisive}".encode()).hexdigest()[:_KEY_DIGITS]


def _find_decoded(path: Path) -> RawDataset | None:
    """None where there is none that can be read: it is then decoded again."""
    try:
        return load_stored(path) if path.is_file() else None
    except CorruptFile:
        return None
