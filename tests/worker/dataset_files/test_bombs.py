"""Hostile files: each refused, the memory that it takes measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.worker.dataset_files.bombs import (
    GOOD,
    REFUSED,
    build_large_pictures,
    build_liar,
    build_many_scans,
    build_zip,
    save,
)
from tests.worker.dataset_files.conftest import draw_picture

pytestmark = pytest.mark.slow
MOST_BYTES = 1_000_000_000
CHECKOUT = Path(__file__).parents[3]


def measure(content: bytes, folder: Path, most_bytes: int = MOST_BYTES, **options: Any) -> dict[str, Any]:
    """What came of the import, when it stayed within its memory and left nothing behind."""
    file, target = folder / "upload", folder / "cache" / "decoded"
    target.parent.mkdir()
    file.write_bytes(content)
    module = "tests.worker.dataset_files.measured_import"
    command = [sys.executable, "-m", module, str(file), str(target), json.dumps(options)]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=600)
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["peak_bytes"] is None or told["peak_bytes"] < most_bytes
    assert not told["has_torch"]
    assert list(target.parent.iterdir()) == ([] if told["summary"] is None else [target])
    return told


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_is_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    told = measure(REFUSED[name](), tmp_path)
    assert told["summary"] is None
    assert told["field"] in ("file", "pictures")


def test_pictures_that_declare_too_much_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    pictures = build_large_pictures()
    assert len(pictures["large.png"]) < 25_000
    entries = GOOD | {f"train/a/{name}": content for name, content in pictures.items()}
    told = measure(build_zip(entries, zipfile.ZIP_STORED), tmp_path)
    (refused,) = told["summary"]["refused"]
    assert (refused["reason"], len(refused["names"])) == ("too_large", len(pictures))
    assert told["summary"]["counts"] == {"train": [1, 1], "test": [1, 1]}


def test_files_that_are_no_pictures_are_not_kept_until_one_is(tmp_path: Path) -> None:
    entries = {f"train/a/0{place}.png": bytes(8 << 20) for place in range(60)}  # 480 MiB before the first picture
    entries |= {"train/a/000.png": np.random.default_rng(0).bytes(4 << 20)} | GOOD
    told = measure(build_zip(entries), tmp_path, most_bytes=400_000_000)
    (refused,) = told["summary"]["refused"]
    assert (refused["reason"], refused["count"]) == ("broken", 61)


def test_what_unpacks_to_more_than_it_says_or_takes_for_ever_is_counted(tmp_path: Path) -> None:
    told = measure(build_liar(), tmp_path, most_bytes=150_000_000)  # it would unpack to 200
    (refused,) = told["summary"]["refused"]
    assert (refused["reason"], refused["names"]) == ("broken", ["train/a/2.png"])
    entries = GOOD | {
        "train/a/scans.jpg": build_many_scans(),
        "train/b/huge.png": np.random.default_rng(0).bytes(33 << 20),
    }
    (tmp_path / "second").mkdir()
    told = measure(build_zip(entries, zipfile.ZIP_STORED), tmp_path / "second")
    assert [(group["reason"], group["names"]) for group in told["summary"]["refused"]] == [
        ("broken", ["train/a/scans.jpg"]), ("too_large", ["train/b/huge.png"])
    ]  # fmt: skip


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_in_parts_is_not_unpacked(method: int, tmp_path: Path) -> None:
    told = measure(build_zip({"a/1.png": draw_picture(1), "b/1.png": draw_picture(2)}, method), tmp_path)
    assert told["field"] == "file"


def test_the_largest_pictures_that_are_decoded_stay_within_the_memory_too(tmp_path: Path) -> None:
    side = 5792  # as many pixels as a file may have
    samples = np.zeros((side, side, 4), np.uint8)
    # So many bytes packed that a batch holds few pictures, and both threads have some.
    samples[:350] = np.random.default_rng(0).integers(0, 256, (350, side, 4), np.uint8)
    deep = Image.fromarray(samples[..., 0].astype(np.uint16) << 8)
    # In several scans libjpeg keeps all of a picture, of four colours twice as much.
    photo = Image.effect_noise((512, 512), 60).resize((8192, 8192)).convert("CMYK")
    pictures = {
        "clear.png": save(Image.fromarray(samples), "PNG", compress_level=1),
        "deep.png": save(deep, "PNG", compress_level=1),
        "photo.jpg": save(photo, "JPEG", progressive=True, subsampling=0, quality=20),
    }
    entries = {
        f"{split}/{name}/{file}": content
        for split, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b"))
        for file, content in pictures.items()
    }
    told = measure(build_zip(entries, zipfile.ZIP_STORED), tmp_path, size=64)
    assert told["summary"]["counts"] == {"train": [3, 3], "test": [3, 3]}
    assert told["summary"]["input_shape"] == [3, 64, 64]
