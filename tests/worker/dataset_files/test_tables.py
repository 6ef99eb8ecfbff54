"""Tables as strangers write them: other titles, other encodings, none of either."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from storage.errors import InvalidDataset
from tests.worker.dataset_files.conftest import Import, draw_picture, write_zip
from worker.catalog import DatasetFormat, DatasetWarning, RefusalReason, SplitName

TRAIN, TEST = SplitName.TRAIN, SplitName.TEST
LABELS = {"p1": "ant", "p2": "bee", "p3": "ant", "p4": "bee", "p5": "ant", "p6": "bee"}
PICTURES = {f"images/{name}.png": draw_picture(level) for level, name in enumerate(LABELS, 50)}
LINES = "".join(f"{name},{label}\n" for name, label in LABELS.items())
WIDE = "lesion,image_id,dx,age\n" + "".join(
    f"{place},{name},{label},{30 + place % 2}\n" for place, (name, label) in enumerate(LABELS.items())
)


@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("labels.csv", f"id,breed\n{LINES}".encode()),
        ("labels.csv", LINES.encode()),
        ("labels.csv", f"id,label\n{LINES}".encode("utf-16")),
        ("labels.csv", "\ufeff".encode("utf-16-be") + f"id,label\n{LINES}".encode("utf-16-be")),
        ("labels.tsv", f"id,label\n{LINES}".replace(",", "\t").encode()),
        ("list.txt", LINES.replace(",", ".png ").encode()),
        ("labels.csv", f"id|label\n{LINES}".replace(",", "|").encode()),
        ("labels.csv", (",id,label\n" + "".join(f"{n},{x}\n" for n, x in enumerate(LINES.splitlines()))).encode()),
    ],
    ids=["another title", "no titles", "UTF-16 little", "UTF-16 big", "tabs", "words", "bars", "numbered rows"],
)
def test_the_classes_are_found(table: str, content: bytes, import_file: Import, tmp_path: Path) -> None:
    summary, cache = import_file(write_zip(tmp_path / "p.zip", PICTURES | {table: content}))
    assert summary.format is DatasetFormat.LABELS_CSV
    assert summary.class_names == ("ant", "bee")
    levels = {int(picture[0, -1, -1]): int(label) for split in cache.splits.values()
              for picture, label in zip(split.images, split.labels, strict=True)}  # fmt: skip
    assert levels == {50 + place: place % 2 for place in range(len(LABELS))}
    assert summary.refused == ()


def test_a_column_may_be_named(import_file: Import, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", PICTURES | {"meta.csv": WIDE.encode()})
    summary, _ = import_file(path, label_column=" DX ")
    assert (summary.format, summary.class_names) == (DatasetFormat.LABELS_CSV, ("ant", "bee"))
    summary, _ = import_file(path, label_column="age")
    assert summary.class_names == ("30", "31")
    with pytest.raises(InvalidDataset) as caught:
        import_file(path, label_column="breed")
    assert caught.value.field == "label_column"


@pytest.mark.parametrize("format_name", [None, DatasetFormat.LABELS_CSV, DatasetFormat.CLASS_FOLDERS])
def test_without_a_known_column_it_is_asked_for(
    format_name: DatasetFormat | None, import_file: Import, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "p.zip", PICTURES | {"meta.csv": WIDE.encode()})
    with pytest.raises(InvalidDataset) as caught:
        import_file(path, format=format_name)
    assert caught.value.field == "label_column"
    assert "meta.csv" in str(caught.value)
    assert "dx" in str(caught.value)


def test_folders_that_may_be_classes_are_taken_and_the_table_is_told_of(import_file: Import, tmp_path: Path) -> None:
    """A table of one more column, whose title says nothing, is no reason to leave the folders' names."""
    entries = {f"{name}/{name}{place}.png": draw_picture(place) for name in "ab" for place in range(3)}
    table = "file,width\n" + "".join(f"{name}{place}.png,8\n" for name in "ab" for place in range(3))
    path = write_zip(tmp_path / "p.zip", entries | {"sizes.csv": table.encode()})
    summary, _ = import_file(path)
    assert (summary.format, summary.class_names) == (DatasetFormat.CLASS_FOLDERS, ("a", "b"))
    (notice,) = [notice for notice in summary.notices if notice.code is DatasetWarning.TABLE_NOT_USED]
    assert "sizes.csv" in notice.detail
    with pytest.raises(InvalidDataset) as caught:
        import_file(path, format=DatasetFormat.CLASS_FOLDERS, label_column="width")
    assert caught.value.field == "label_column"


def test_numbers_of_rows_are_no_names_of_pictures(import_file: Import, tmp_path: Path) -> None:
    """The pictures are called by numbers too, and another is the first."""
    entries = {f"{place}.png": draw_picture(100 + place) for place in range(1, 7)}
    rows = "".join(f"{row},{7 - row}.png,{'ant' if row % 2 else 'bee'}\n" for row in range(1, 7))
    summary, cache = import_file(
        write_zip(tmp_path / "p.zip", entries | {"labels.csv": f"number,picture,label\n{rows}".encode()})
    )
    assert summary.class_names == ("ant", "bee")
    for split in cache.splits.values():
        # Row r has the picture 7 - r: an odd row an even one.
        assert [int(picture[0, -1, -1]) % 2 for picture in split.images] == split.labels.tolist()


def test_letters_with_accents_are_found_in_either_form(import_file: Import, tmp_path: Path) -> None:
    names = ("\u00e9t\u00e91", "\u00e9t\u00e92", "no\u00ebl1", "no\u00ebl2")
    entries = {f"{unicodedata.normalize('NFD', name)}.png": draw_picture(50 + n) for n, name in enumerate(names)}
    table = "file,label\n" + "".join(f"{name}.png,{name[:-1]}\n" for name in names)
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries | {"labels.csv": table.encode()}))
    assert (summary.class_names, summary.refused) == (("no\u00ebl", "\u00e9t\u00e9"), ())


def test_a_row_without_a_class_is_counted_once(import_file: Import, tmp_path: Path) -> None:
    table = "file,label\np1,\n" + "".join(f"{name},{label}\n" for name, label in LABELS.items() if name != "p1")
    summary, _ = import_file(write_zip(tmp_path / "p.zip", PICTURES | {"labels.csv": table.encode()}))
    assert [(group.reason, group.names) for group in summary.refused] == [(RefusalReason.NO_CLASS, ("p1",))]
