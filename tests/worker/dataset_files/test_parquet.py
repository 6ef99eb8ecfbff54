"""Parquet files as Hugging Face's library writes them, and such as lie."""

from __future__ import annotations

import io
import json
import lzma
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import InvalidDataset
from tests.worker.dataset_files.conftest import Import, draw_picture, read_corner, write_zip
from tests.worker.dataset_files.test_bombs import measure
from worker.catalog import DatasetFormat, DatasetWarning, RefusalReason, SplitName
from worker.dataset_files import parquet_rows

pytestmark = pytest.mark.slow  # a process for each table
TRAIN, TEST = SplitName.TRAIN, SplitName.TEST


def build_parquet(
    pictures: list[bytes | None],
    labels: list[Any],
    names: list[str] | None = None,
    column: str = "image",
    others: Mapping[str, Any] | None = None,
    **options: Any,
) -> bytes:
    """A struct of `bytes` and `path` for each picture, and the names of the classes as `datasets` describes them."""
    rows = [{"bytes": picture, "path": f"{place}.png"} for place, picture in enumerate(pictures)]
    table = pa.table(
        {column: pa.array(rows, pa.struct({"bytes": pa.binary(), "path": pa.string()})), "label": labels}
        | dict(others or {})
    )
    if names is not None:
        features = {column: {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("column", ["image", "img"])
def test_hugging_faces_columns_and_class_names_are_read(column: str, import_file: Import, tmp_path: Path) -> None:
    pictures: list[bytes | None] = [draw_picture(level) for level in range(50, 90)]
    names = ["zebra", "ant", "never seen"]
    path = tmp_path / "upload"
    path.write_bytes(build_parquet(pictures, [0, 1] * 20, names, column, row_group_size=7))
    summary, cache = import_file(path)
    assert summary.format is DatasetFormat.PARQUET
    assert (summary.class_names, summary.is_test_drawn) == (("zebra", "ant"), True)
    assert [(notice.code, notice.class_names) for notice in summary.notices] == [
        (DatasetWarning.CLASS_LEFT_OUT, ("never seen",))
    ]
    assert summary.counts == {TRAIN: (17, 17), TEST: (3, 3)}
    for split in cache.splits.values():
        assert [corner[0] % 2 for corner in read_corner(split.images)] == split.labels.tolist()


def test_a_column_may_say_the_split_and_another_the_class(import_file: Import, tmp_path: Path) -> None:
    pictures: list[bytes | None] = [draw_picture(level) for level in range(50, 62)]
    others = {"Split": ["train", "train", "test"] * 4, "breed": ["hound", "terrier"] * 6}
    path = tmp_path / "upload"
    path.write_bytes(build_parquet(pictures, [7] * 12, others=others))
    summary, cache = import_file(path, label_column="Breed")
    assert (summary.class_names, summary.is_test_drawn) == (("hound", "terrier"), False)
    assert read_corner(cache.splits[TEST].images) == [[52], [55], [58], [61]]
    with pytest.raises(InvalidDataset) as caught:
        import_file(path, label_column="height")
    assert caught.value.field == "label_column"
    assert "breed" in str(caught.value)
    for kind in ("subset", "split"):
        path.write_bytes(build_parquet(pictures, [0, 1] * 6, others={kind: ["clean", "noisy"] * 6}))
        summary, _ = import_file(path)
        assert summary.is_test_drawn
        assert DatasetWarning.SPLIT_COLUMN_NOT_USED in [notice.code for notice in summary.notices]


def test_a_row_without_a_split_has_that_of_its_file(import_file: Import, tmp_path: Path) -> None:
    pictures: list[bytes | None] = [draw_picture(level) for level in range(50, 56)]
    splits = pa.array(["train", "train", None, None, "test", "test"]).dictionary_encode()
    entries = {
        "train-0.parquet": build_parquet(pictures, [0, 1] * 3, others={"split": splits}),
        "test-0.parquet": build_parquet(pictures, [0, 1] * 3, others={"split": pa.array([None] * 6, pa.string())}),
    }
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.counts == {TRAIN: (2, 2), TEST: (4, 4)}


def test_a_title_letter_by_letter_comes_first(import_file: Import, tmp_path: Path) -> None:
    pictures: list[bytes | None] = [draw_picture(level) for level in range(50, 56)]
    path = tmp_path / "upload"
    path.write_bytes(build_parquet(pictures, [0, 1] * 3, others={"Image": ["x"] * 6, "Label": [0.5] * 6}))
    assert import_file(path)[0].class_names == ("0", "1")


def test_tables_in_a_zip_file_are_called_after_their_splits(import_file: Import, tmp_path: Path) -> None:
    def build(levels: list[int]) -> bytes:
        return build_parquet(
            [draw_picture(level) for level in levels], ["odd" if level % 2 else "even" for level in levels]
        )

    entries = {
        "data/train-00000-of-00002.parquet": build([4, 5, 6]), "data/train-00001-of-00002.parquet": build([7]),
        "data/test/0000.parquet": build([8, 9]), "README.md": b"",
    }  # fmt: skip
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries))
    assert (summary.class_names, summary.counts) == (("even", "odd"), {TRAIN: (2, 2), TEST: (1, 1)})
    assert read_corner(cache.splits[TRAIN].images) == [[4], [5], [6], [7]]
    assert [(group.reason, group.names) for group in summary.refused] == [
        (RefusalReason.UNKNOWN_SUFFIX, ("README.md",))
    ]


def test_rows_without_a_label_or_a_picture_are_counted(import_file: Import, tmp_path: Path) -> None:
    pictures = [draw_picture(1), None, draw_picture(2), draw_picture(3), b"x", draw_picture(4), draw_picture(5)]
    path = tmp_path / "upload"
    path.write_bytes(build_parquet(pictures, [0, 0, -1, 1, 1, None, 0], ["a", "b"]))
    summary, _ = import_file(path)
    assert {group.reason: group.names for group in summary.refused} == {
        RefusalReason.NO_CLASS: ("the file[2]", "the file[5]"), RefusalReason.MISSING: ("the file[1]",),
        RefusalReason.BROKEN: ("the file[4]",),
    }  # fmt: skip
    assert summary.counts == {TRAIN: (1, 1), TEST: (1, 0)}


GOOD = build_parquet([draw_picture(level) for level in range(8)], [0, 1] * 4)
LONG_FOOTER = b"PAR1" + b"\xff" * 100 + b"\xff\xff\xff\x7fPAR1"


def build_flat(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        GOOD[:-1], GOOD[:100], b"PAR1", GOOD[:60] + bytes(100) + GOOD[160:], LONG_FOOTER,
        build_flat(label=[1, 2]), build_flat(image=[b"", b""]), build_flat(image=["a", "b"], label=[1, 2]),
        build_flat(image=[b"", b""], label=[1.5, 2.5]),
        build_parquet([b""] * 2, [0, 3], ["a", "b"]), build_parquet([b""] * 2, [0, 1], ["a", "a"]),
    ],
    ids=["end cut", "cut", "magic alone", "page damaged", "footer of 2 GB", "no pictures", "no labels",
         "text for pictures", "fractions for labels", "no name", "a name twice"],
)  # fmt: skip
def test_what_is_no_table_of_pictures_is_one_error(content: bytes, import_file: Import, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(InvalidDataset) as caught:
        import_file(path)
    assert caught.value.field in ("file", "classes", "pictures")
    assert [file.name for file in tmp_path.iterdir()] == ["upload"]


def test_one_picture_for_all_rows_is_refused_before_all_are_unpacked(tmp_path: Path) -> None:
    zeros = pa.array([bytes(7_000_000)])
    table = pa.table({"image": pa.DictionaryArray.from_arrays([0] * 200, zeros), "label": [0, 1] * 100})
    stream = io.BytesIO()
    pq.write_table(table, stream, store_schema=False, dictionary_pagesize_limit=1 << 24)
    assert len(stream.getvalue()) < 1_000_000
    assert measure(stream.getvalue(), tmp_path)["field"] == "file"


def test_one_page_of_all_rows_is_refused_by_the_memory_that_it_would_take(tmp_path: Path) -> None:
    # A hundred times seven million zeros, as pq.write_table(…, use_dictionary=False, compression="zstd",
    # write_batch_size=1000, data_page_size=1 << 30, write_statistics=False) lays them into a single page.
    content = lzma.decompress(Path(__file__).with_name("one_page.parquet.xz").read_bytes())
    assert len(content) < 100_000
    assert measure(content, tmp_path)["field"] == "file"
    if sys.platform == "linux":  # nothing bounds memory elsewhere
        command = [sys.executable, "-P", parquet_rows.__file__, str(tmp_path / "upload"), "1000", "8388608"]
        ended = subprocess.run(command, capture_output=True, check=False)
        assert ended.returncode != 0
        assert len(ended.stdout) < 1000  # the labels, and none of the pictures
