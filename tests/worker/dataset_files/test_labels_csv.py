"""Pictures and a table of their classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import InvalidDataset
from tests.worker.dataset_files.conftest import Import, draw_picture, read_corner, write_zip
from worker.catalog import DatasetFormat, RefusalReason, SplitName

TRAIN, TEST = SplitName.TRAIN, SplitName.TEST
PICTURES = {f"set/images/{name}.png": draw_picture(level) for level, name in enumerate(("a1", "a2", "b1", "b2"), 50)}


@pytest.mark.parametrize(
    "table",
    [
        "file,label,split\nimages/a1.png,ant,train\nimages/b1.png,bee,train\na2,ant,test\nb2,bee,test\n",
        "label,filename,split\nant,a1.png,train\nbee,b1.png,train\nant,a2.png,test\nbee,b2.png,test",
        "id;class;subset\na1;ant;train\nb1;bee;train\na2;ant;test\nb2;bee;test\n",
        '\ufeff"Image","Label","Split"\r\n"set/images/a1.png","ant",Train\r\n"b1","bee",Train\r\na2,ant,Test\r\n\r\nb2,bee,Test',
    ],
    ids=["from its folder", "last part", "without suffix", "quoted, from the top"],
)
def test_a_table_gives_each_picture_its_class_and_split(table: str, import_file: Import, tmp_path: Path) -> None:
    summary, cache = import_file(write_zip(tmp_path / "p.zip", PICTURES | {"set/labels.csv": table.encode()}))
    assert summary.format is DatasetFormat.LABELS_CSV
    assert (summary.class_names, summary.counts) == (("ant", "bee"), {TRAIN: (1, 1), TEST: (1, 1)})
    assert read_corner(cache.splits[TRAIN].images) == [[50], [52]]
    assert read_corner(cache.splits[TEST].images) == [[51], [53]]
    assert summary.refused == ()


def test_tables_may_be_called_after_their_splits(import_file: Import, tmp_path: Path) -> None:
    tables = {
        "train.csv": b"file,label\na1.png,ant\nb1.png,bee\n", "test.csv": b"file,label\na2.png,ant\nb2.png,bee\n"
    }  # fmt: skip
    summary, _ = import_file(write_zip(tmp_path / "p.zip", PICTURES | tables))
    assert summary.counts == {TRAIN: (1, 1), TEST: (1, 1)}


@pytest.mark.parametrize(
    "tables",
    [
        {"train_labels.csv": "file,label\na1.png,ant\nb1.png,bee\n", "labels_test.csv": "file,label\na2,ant\nb2,bee\n"},
        {"train/meta.csv": "file,label\na1,ant\nb1,bee\n", "test/meta.csv": "file,label\na2,ant\nb2,bee\n"},
        {"labels.csv": "file,label\ntrain/a1.png,ant\ntrain/b1.png,bee\ntest/a2.png,ant\ntest/b2.png,bee\n"},
    ],
    ids=["of the table's name", "of its folder", "of the picture's folder"],
)
def test_a_split_is_told_by_folders_and_words_too(tables: dict[str, str], import_file: Import, tmp_path: Path) -> None:
    entries = {
        f"{'train' if name.endswith('1') else 'test'}/{name}.png": draw_picture(level)
        for level, name in enumerate(("a1", "a2", "b1", "b2"), 50)
    }
    entries |= {name: text.encode() for name, text in tables.items()}
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries))
    assert (summary.class_names, summary.counts) == (("ant", "bee"), {TRAIN: (1, 1), TEST: (1, 1)})
    assert read_corner(cache.splits[TEST].images) == [[51], [53]]
    assert not summary.is_test_drawn


def test_where_no_picture_is_found_it_is_said_why(import_file: Import, tmp_path: Path) -> None:
    table = b"file,label\nelsewhere/a1.png,ant\nelsewhere/b1.png,bee\n"
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", PICTURES | {"labels.csv": table}))
    assert f"2 {RefusalReason.MISSING}" in str(caught.value)


def test_what_the_table_and_the_pictures_do_not_share_is_counted(import_file: Import, tmp_path: Path) -> None:
    table = b"file,label\na1.png,ant\na2.png,ant\nb1.png,\ngone.png,bee\nb2.png,bee\nc.png,bee\nc.png,ant\n"
    entries = PICTURES | {
        "labels.csv": table, "extra.png": draw_picture(1), "x/c.png": draw_picture(1), "y/c.png": draw_picture(1),
        "notes.txt": b"", "more.csv": b"a,b\n1,2\n",
    }  # fmt: skip
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert {group.reason: group.names for group in summary.refused} == {
        RefusalReason.NO_CLASS: ("b1.png", "extra.png", "x/c.png", "y/c.png"),
        RefusalReason.MISSING: ("gone.png", "c.png", "c.png"),
        RefusalReason.UNKNOWN_SUFFIX: ("more.csv", "notes.txt"),
    }
    assert summary.counts == {TRAIN: (1, 1), TEST: (1, 0)}


@pytest.mark.parametrize(
    "table",
    [b"file,label\na1.png\n", b"file,label,split\na1.png,ant,nowhere\n", b"file,label\na1.png,ant\na1.png,bee\n",
     b"file,label\n\xff\xfe,ant\n", b'file,label\n"a1.png,ant\n'],
    ids=["too few cells", "unknown split", "named twice", "not UTF-8", "quote not closed"],
)  # fmt: skip
def test_a_table_that_contradicts_itself_is_one_error(table: bytes, import_file: Import, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", PICTURES | {"labels.csv": table}))
    assert caught.value.field in ("file", "classes")


def test_class_folders_with_a_table_of_something_else_stay_class_folders(import_file: Import, tmp_path: Path) -> None:
    entries = {f"{name}/{place}.png": draw_picture(place) for name in "ab" for place in range(3)}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries | {"sizes.csv": b"class,size\na,1\n"}))
    assert summary.format is DatasetFormat.CLASS_FOLDERS
