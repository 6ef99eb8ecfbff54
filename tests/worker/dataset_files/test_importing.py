"""An import as a whole: its limits, its progress, how it is stopped, and files with bytes changed at random."""

from __future__ import annotations

import io
import random
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.errors import DiskFull, InvalidDataset
from tests.worker.dataset_files.conftest import Import, draw_picture, write_zip
from tests.worker.dataset_files.test_arrays import build_idx
from worker.catalog import DatasetFormat
from worker.dataset_files.importing import import_dataset
from worker.dataset_files.limits import LIMITS
from worker.dataset_files.options import DatasetOptions
from worker.progress import JobCancelled, Progress, QuietReporter

PICTURES = {f"{name}/{place}.png": draw_picture((place, 5, 9)) for name in "ab" for place in range(10)}


def list_names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"max_pictures": 19}, "pictures"),
        ({"max_classes": 1}, "classes"),
        ({"min_classes": 3}, "classes"),
        ({"max_decoded_bytes": 20 * 3 * 64 - 1}, "size"),
        ({"max_decoded_bytes": 20 * 64 - 1}, "size"),
        ({"max_entry_bytes": 10}, "pictures"),
        ({"max_expansion": 0}, "file"),
        ({"max_directory_bytes": 100}, "file"),
    ],
    ids=str,
)
def test_one_more_than_the_limit_is_refused(limits: dict[str, int], field: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", PICTURES)
    with pytest.raises(InvalidDataset) as caught:
        import_dataset(path, tmp_path / "decoded", limits=replace(LIMITS, **limits))
    assert caught.value.field == field
    assert list_names(tmp_path) == ["p.zip"]


def test_as_much_as_the_limits_is_read(tmp_path: Path) -> None:
    exact = replace(LIMITS, max_pictures=20, max_classes=2, max_decoded_bytes=20 * 3 * 64)
    path = write_zip(tmp_path / "p.zip", PICTURES)
    assert import_dataset(path, tmp_path / "decoded", limits=exact).input_shape == (3, 8, 8)


@pytest.mark.parametrize(("level", "channels"), [(9, 1), ((9, 8, 7), 3)], ids=["gray", "colour"])
def test_without_room_for_two_copies_nothing_is_decoded_and_nothing_left(
    level: int | tuple[int, int, int], channels: int, tmp_path: Path
) -> None:
    path = write_zip(
        tmp_path / "p.zip", {f"{name}/{place}.png": draw_picture(level) for name in "ab" for place in "12"}
    )
    needed = 2 * 4 * channels * 64

    def check_room(num_bytes: int) -> None:
        if num_bytes > room:
            raise DiskFull("no room")

    room = needed
    import_dataset(path, tmp_path / "decoded", check_room=check_room)
    (tmp_path / "decoded").unlink()
    room, follower = needed - 1, Follower(stops=False)
    with pytest.raises(DiskFull):
        import_dataset(path, tmp_path / "decoded", reporter=follower, check_room=check_room)
    assert follower.reports == []
    assert list_names(tmp_path) == ["p.zip"]


def test_a_batch_of_which_nothing_can_be_used_is_passed_over(import_file: Import, tmp_path: Path) -> None:
    # A batch is full at 16 MiB, and these come first: two of them are one, and nothing is left of their class.
    broken = {f"0/{place}.png": bytes([place]) * (8 << 20) for place in range(1, 4)}
    path = tmp_path / "p.zip"
    path.write_bytes(_store(broken | PICTURES))
    summary, cache = import_file(path, size=8)
    assert [(group.reason, group.count) for group in summary.refused] == [("broken", 3)]
    assert sum(len(split.labels) for split in cache.splits.values()) == len(PICTURES)


class Follower(QuietReporter):
    """Keeps what is reported, and stops at the first report where it is told to."""

    def __init__(self, *, stops: bool) -> None:
        self.reports: list[Progress] = []
        self._stops = stops

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)
        if self._stops:
            raise JobCancelled


def test_progress_ends_at_a_hundred_and_a_cancelled_import_leaves_nothing(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", PICTURES)
    follower = Follower(stops=False)
    import_dataset(path, tmp_path / "decoded", reporter=follower)
    percents = [progress.percent for progress in follower.reports]
    assert percents[-1] == 100
    assert percents == sorted(percents, key=lambda percent: percent or 0)
    (tmp_path / "decoded").unlink()
    with pytest.raises(JobCancelled):
        import_dataset(path, tmp_path / "decoded", reporter=Follower(stops=True))
    assert list_names(tmp_path) == ["p.zip"]


def test_a_failed_import_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "decoded").write_bytes(b"before")
    with pytest.raises(InvalidDataset):
        import_dataset(write_zip(tmp_path / "p.zip", {}), tmp_path / "decoded")
    assert (tmp_path / "decoded").read_bytes() == b"before"


@pytest.mark.parametrize("name", [name for name in DatasetFormat if name is not DatasetFormat.CLASS_FOLDERS])
def test_a_file_of_another_format_than_was_said_is_one_error(
    name: DatasetFormat, import_file: Import, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", PICTURES), format=name)
    assert caught.value.field in ("file", "pictures")


def build_seeds() -> list[bytes]:
    """A small file of each format that is read within this process."""
    kinds = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
    drawn = {
        f"{kind}.{kind.casefold()}": draw_picture(place * 9 if place % 2 else (place, 7, 9), (8, 8), kind)
        for place, kind in enumerate(kinds)
    }
    folders = {
        f"{folder}/{name}": content
        for folder in ("train/a", "train/b", "test/a", "test/b")
        for name, content in drawn.items()
    }
    pixels, labels = np.random.default_rng(0).integers(0, 256, (6, 9, 7), np.uint8), np.array([3, 12] * 3, np.uint8)
    arrays = io.BytesIO()
    np.savez(arrays, x=pixels, y=labels)
    idx = {"images-idx3-ubyte": build_idx(pixels), "labels-idx1-ubyte": build_idx(labels)}
    table = b"file,label\n" + b"".join(b"%d.png,%d\n" % (place, place % 2) for place in range(8))
    csv = {"labels.csv": table} | {f"{place}.png": draw_picture(place * 9) for place in range(8)}
    return [arrays.getvalue(), *(_store(entries) for entries in (folders, idx, csv))]


def _store(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return stream.getvalue()


def damage(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out or said twice."""
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place, length = chance.randrange(len(damaged)), chance.randrange(1, 30)
        match chance.randrange(4):
            case 0:
                damaged[place] = chance.randrange(256)
            case 1:
                damaged[place : place + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case 2:
                del damaged[place : place + length]
            case _:
                damaged[place:place] = damaged[:length]
    return bytes(damaged)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::UserWarning:PIL")
def test_a_file_with_bytes_changed_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    seeds, chance = build_seeds(), random.Random(0)
    came: Counter[Any] = Counter()
    for _ in range(400):
        (tmp_path / "upload").write_bytes(damage(chance.choice(seeds), chance))
        try:
            import_dataset(tmp_path / "upload", tmp_path / "decoded", DatasetOptions(size=8))
            came["read"] += 1
        except InvalidDataset as error:
            came[error.field] += 1
        assert set(list_names(tmp_path)) <= {"upload", "decoded"}
    assert came["read"] > 0
    assert came["file"] > 0
