"""Tables as strangers write them: other titles, other encodings, none of either."""

from __future__ import annotations

import unicodedata
import zipfile
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


FOLDERS = {f"{name}/{name}{place:03}.png": draw_picture(place) for name in ("cat", "dog") for place in range(60)}
SPLITS = {f"{name}/{split}/{name}{split}{place}.png": draw_picture(place)
          for name in ("cat", "dog") for split in ("train", "test") for place in range(3)}  # fmt: skip
UNKNOWN = {f"train/{name}": content for name, content in FOLDERS.items()} | {
    f"test/t{place}.png": draw_picture(place) for place in range(6)
}


def list_files(entries: dict[str, bytes]) -> list[str]:
    return [name.rsplit("/", 1)[-1] for name in entries]


def write_table(title: str, names: list[str], *values: str) -> bytes:
    """Each picture with one of the values, in turn."""
    rows = (f"{name},{values[place % len(values)]}" for place, name in enumerate(names))
    return "\n".join([title, *rows]).encode()


@pytest.mark.parametrize(
    ("entries", "name", "table"),
    [
        (FOLDERS, "sizes.csv", write_table("file,thickness", list_files(FOLDERS), "8", "9")),
        (SPLITS, "meta.csv", write_table("file,photographer", list_files(SPLITS), "flickr", "google")),
        ({f"{name.split('/')[0]}/images/{name.split('/')[1]}": one for name, one in FOLDERS.items()}, "meta.csv",
         write_table("file,photographer", list_files(FOLDERS), "flickr", "google")),
        (FOLDERS, "cat/breeds.csv", write_table("file,breed", list_files(FOLDERS)[:60], "x", "y")),
        (UNKNOWN, "sample_submission.csv", write_table("id,species", [f"t{n}" for n in range(6)], "0", "1")),
        (UNKNOWN, "sample_submission.csv", write_table("id,label", [f"t{n}" for n in range(6)], "cat", "dog")),
        (UNKNOWN, "test.csv", write_table("file,species", [f"t{n}.png" for n in range(6)], "8", "9")),
        (FOLDERS, "train.csv", write_table("filepaths,labels", [f"/kaggle/{n}" for n in range(9)], "x", "y")),
        ({f"{n % 3}/p{n}.png": draw_picture(n) for n in range(9)}, "classes.csv", b"id,labels\n0,cat\n1,dog\n2,cow\n"),
    ],
    ids=["sizes", "splits below", "a folder below", "of one class", "dummy answers", "dummy labels", "of test pictures",
         "of pictures elsewhere", "of the folders"],
)  # fmt: skip
def test_folders_of_classes_are_not_left_for_a_table_that_does_not_say_classes(
    entries: dict[str, bytes], name: str, table: bytes, import_file: Import, tmp_path: Path
) -> None:
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries | {name: table}))
    assert summary.format is DatasetFormat.CLASS_FOLDERS
    assert set(summary.class_names) in ({"cat", "dog"}, {"0", "1", "2"})


def test_the_only_other_column_is_told_of_and_no_captions_or_dummy_answers(import_file: Import, tmp_path: Path) -> None:
    tables = {"train.csv": f"id,has_ants\n{LINES}".encode(), "sample_submission.csv": b"id,has_ants\nq1,0.5\nq2,0.5\n"}
    more = {f"images/q{place}.png": draw_picture(place) for place in (1, 2)}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", PICTURES | more | tables))
    assert summary.class_names == ("ant", "bee")
    (notice,) = [one for one in summary.notices if one.code is DatasetWarning.LABEL_COLUMN_GUESSED]
    assert "has_ants" in notice.detail
    for title, values in (("words", [f"all of {place} ants" for place in range(6)]), ("partition", ["0", "1"])):
        table = write_table(f"image,{title}", list(LABELS), *values)
        with pytest.raises(InvalidDataset) as caught:
            import_file(write_zip(tmp_path / "p.zip", PICTURES | {"list.csv": table}))
        assert caught.value.field == "label_column"


def test_a_column_whose_title_is_known_comes_before_one_that_is_the_only_other(
    import_file: Import, tmp_path: Path
) -> None:
    tables = {
        "a.csv": write_table("file,weather", list(LABELS), "wet", "dry"),
        "labels.csv": f"id,label\n{LINES}".encode(),
    }
    summary, _ = import_file(write_zip(tmp_path / "p.zip", PICTURES | tables))
    assert summary.class_names == ("ant", "bee")
    assert DatasetWarning.TABLE_NOT_USED in [notice.code for notice in summary.notices]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-be"])
def test_a_table_in_any_encoding_is_read_or_refused(encoding: str, import_file: Import, tmp_path: Path) -> None:
    """More of it than is looked at first, letters of several bytes, and folders that would be classes beside it."""
    entries = {f"batch{place % 2}/p{place:04}.png": draw_picture(place % 200) for place in range(400)}
    filler = "\u00e9" * 100
    text = "file,label,remark\n" + "".join(
        f"{name.rsplit('/', 1)[1]},{'ant' if place % 3 else 'bee'},{filler}\n" for place, name in enumerate(entries)
    )
    mark = "\ufeff" if encoding.startswith("utf") else ""
    path = write_zip(tmp_path / "p.zip", entries | {"labels.csv": (mark + text).encode(encoding)})
    if mark:
        summary, _ = import_file(path)
        assert summary.class_names == ("ant", "bee")
    else:
        with pytest.raises(InvalidDataset) as caught:
            import_file(path)
        assert "labels.csv" in str(caught.value)


def test_texts_beside_every_picture_hide_no_table_and_fill_no_summary(import_file: Import, tmp_path: Path) -> None:
    texts = {f"images/{name}.txt": f"{name} 0.5 0.5 0.1\n".encode() for name in LABELS}
    more = {f"images/z{place}.txt": f"z{place} 0.5 0.5\n".encode() for place in range(30)}
    path = write_zip(tmp_path / "p.zip", PICTURES | texts | more | {"x.csv": f"id,label\n{LINES}".encode()})
    summary, _ = import_file(path)
    assert summary.class_names == ("ant", "bee")
    folders = {f"{name}/{place}.png": draw_picture(place) for name in "ab" for place in range(30)}
    texts = {f"{name}/{place}.csv": f"{place},0.5,0.25\n".encode() for name in "ab" for place in range(30)}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", folders | texts))
    assert summary.class_names == ("a", "b")
    assert sum(notice.code is DatasetWarning.TABLE_NOT_USED for notice in summary.notices) <= 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("labels.csv", "\n\nimage,label\nimage,ant\np1,ant\np2,bee\np3,bee\n"), ("labels.csv", f"id,Set\n{LINES}")],
    ids=["a picture called like a title, behind empty lines", "a column of splits by name"],
)
def test_titles_are_told_from_what_they_look_like(name: str, content: str, import_file: Import, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", PICTURES | {"image.png": draw_picture(9), name: content.encode()})
    summary, _ = import_file(path, label_column="set" if "Set" in content else None)
    assert summary.class_names == ("ant", "bee")
    assert RefusalReason.MISSING not in [group.reason for group in summary.refused]


def test_what_is_needed_is_not_packed_in_another_way(import_file: Import, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", FOLDERS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("README.md", b"words", zipfile.ZIP_LZMA)
    summary, _ = import_file(path)
    assert summary.class_names == ("cat", "dog")
