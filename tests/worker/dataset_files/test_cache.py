"""The decoded file and the contact sheet that is drawn from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from storage.errors import CorruptFile
from tests.worker.dataset_files.conftest import Import, draw_picture, write_zip
from worker.catalog import SplitName
from worker.dataset_files.cache import CachedDataset, CachedSplit, CacheFacts, open_cache
from worker.dataset_files.contact_sheet import MAX_CLASSES, PER_CLASS, draw_contact_sheet
from worker.picture_policy import ResizePolicy

ENTRIES = {
    f"{name}/{place}.png": draw_picture(10 * place + row) for row, name in enumerate("abc") for place in range(1, 9)
}


def test_the_same_pictures_make_the_same_file_which_safetensors_reads(import_file: Import, tmp_path: Path) -> None:
    first, cache = import_file(write_zip(tmp_path / "a.zip", ENTRIES))
    content = (tmp_path / "decoded").read_bytes()
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert first.num_bytes == len(content)
    arrays = load_file(tmp_path / "decoded")
    assert {name: (array.shape, str(array.dtype)) for name, array in arrays.items()} == {
        "train.labels": ((21,), "int64"), "test.labels": ((3,), "int64"),
        "train.images": ((21, 1, 8, 8), "uint8"), "test.images": ((3, 1, 8, 8), "uint8"),
    }  # fmt: skip
    for split, of_split in cache.splits.items():
        assert (arrays[f"{split}.images"] == of_split.images).all()
        assert (arrays[f"{split}.labels"] == of_split.labels).all()
    # In another order within the zip file.
    again, _ = import_file(write_zip(tmp_path / "b.zip", dict(reversed(ENTRIES.items()))))
    assert again == first


def test_an_opened_cache_may_be_written_to_and_its_file_stays_as_it_is(import_file: Import, tmp_path: Path) -> None:
    _, cache = import_file(write_zip(tmp_path / "a.zip", ENTRIES))
    before = (tmp_path / "decoded").read_bytes()
    cache.splits[SplitName.TRAIN].images[:] = 0
    assert (tmp_path / "decoded").read_bytes() == before


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_damaged_cache_is_one_error(cut: int, import_file: Import, tmp_path: Path) -> None:
    import_file(write_zip(tmp_path / "a.zip", ENTRIES))
    content = (tmp_path / "decoded").read_bytes()
    (tmp_path / "decoded").write_bytes(content[:cut])
    with pytest.raises(CorruptFile):
        open_cache(tmp_path / "decoded")


def build_cache(names: list[str], height: int, width: int, channels: int) -> CachedDataset:
    """Twelve pictures of each class in turn, each of one colour of its own."""
    number = 12 * len(names)
    labels = np.arange(number) % len(names)
    colours = np.random.default_rng(0).integers(0, 256, (number, channels, 1, 1), np.uint8)
    images = np.broadcast_to(colours, (number, channels, height, width))
    resize = ResizePolicy(height=height, width=width)
    facts = CacheFacts(
        class_names=tuple(names), resize=resize, mean=(0.5,) * channels, std=(0.5,) * channels, is_mirrorable=False
    )
    return CachedDataset(facts, {SplitName.TRAIN: CachedSplit(images, labels)})


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (32, 24, 3), (224, 100, 3)])
def test_a_contact_sheet_shows_the_first_pictures_of_each_class_in_a_row(
    height: int, width: int, channels: int, tmp_path: Path
) -> None:
    data = build_cache(["кошка", "گربه", "n" * 100], height, width, channels)
    draw_contact_sheet(data, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = np.asarray(opened)
    rows = np.array_split(sheet, 3)
    for label, row in enumerate(rows):
        middle = row[len(row) // 2]
        changes = np.flatnonzero((middle[1:] != middle[:-1]).any(1))
        shown = [tuple(middle[place + 1]) for place in changes]
        wanted = [
            tuple(np.broadcast_to(picture[:, 0, 0], 3)) for picture in data.splits[SplitName.TRAIN].images[label::3]
        ]
        assert [colour for colour in shown if colour in wanted] == wanted[:PER_CLASS]


def test_a_class_whose_name_no_font_writes_is_found_by_its_place(tmp_path: Path) -> None:
    sheets = []
    for names in (["گربه", "猫", "고양이"], ["گربه", "class 1", "class 2"], ["گربه", "cat", "कुत्ता"]):
        draw_contact_sheet(build_cache(names, 8, 8, 1), tmp_path / "sheet.png")
        sheets.append((tmp_path / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.slow
def test_a_contact_sheet_of_many_classes_stays_a_page(tmp_path: Path) -> None:
    heights = []
    for number in (MAX_CLASSES, MAX_CLASSES + 1, 1000):
        draw_contact_sheet(build_cache([str(place) for place in range(number)], 32, 32, 3), tmp_path / "sheet.png")
        with Image.open(tmp_path / "sheet.png") as sheet:
            heights.append(sheet.height)
    assert heights[0] < heights[1] == heights[2]
