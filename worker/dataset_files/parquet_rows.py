"""Reads the labels and pictures of a Parquet file, in a process of its own:
`python parquet_rows.py FILE ROWS BYTES LABEL_COLUMN`, the last empty where nobody named it.

A page of a few kilobytes may unpack to gigabytes, and Arrow learns of it from the page alone: nothing but the system
can bound that. So this process may have little memory, and whatever becomes of it is an answer.

To standard output comes a frame of JSON first: `labels`, one a row or null, `class_names` and `splits` or null; or
`error`. Then a frame for each row: four bytes of length, and the picture's file. Of what is null or larger than BYTES
the length is one of the last two numbers, and nothing follows.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NULL, TOO_LARGE = 0xFFFFFFFF, 0xFFFFFFFE
_PICTURES = ("image", "img", "picture")
_LABELS = ("label", "labels", "fine_label", "class", "category", "target")
_SPLITS = ("split", "set", "subset")
_MOST_NAMED = 12
_MAX_GROWTH_BYTES = 512 << 20
_ROWS = 16
_LABEL_ROWS = 4096
_THRIFT_BYTES = 8 << 20


def main() -> None:
    """Writes the frames. Ends with an error where the file is damaged, or takes too much memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, max_rows, max_entry_bytes, wanted = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    limit_memory()
    with pq.ParquetFile(
        path,
        buffer_size=1 << 20,
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT_BYTES,
        thrift_container_size_limit=_THRIFT_BYTES,
    ) as file:
        found = find_columns(file.schema_arrow, wanted, pa)
        if isinstance(found, str) or file.metadata.num_rows > max_rows:
            error = found if isinstance(found, str) else f"it has {file.metadata.num_rows:,} rows"
            write_frame(json.dumps({"error": error}).encode())
            return
        picture, label, split = found
        labels = list(read_column(file, label, _LABEL_ROWS))
        class_names = find_class_names(file.schema_arrow, label)
        splits = None if split is None else list(read_column(file, split, _LABEL_ROWS))
        write_frame(json.dumps({"labels": labels, "class_names": class_names, "splits": splits}).encode())
        for content in read_column(file, picture, _ROWS):
            if content is None:
                sys.stdout.buffer.write(struct.pack(">I", NULL))
            elif len(content) > max_entry_bytes:
                sys.stdout.buffer.write(struct.pack(">I", TOO_LARGE))
            else:
                write_frame(content)
    sys.stdout.buffer.flush()


def limit_memory() -> None:
    """From here on the process gets no more than so much, on top of what it has."""
    if sys.platform != "linux":
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    data_bytes = int(status.split("VmData:")[1].split()[0]) << 10
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data_bytes + _MAX_GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if soft == resource.RLIM_INFINITY else min(soft, wanted), hard))


def find_columns(schema: Any, wanted: str, pa: Any) -> tuple[str, str, str | None] | str:
    """(pictures, labels, splits or None), as Arrow calls the columns; or what is missing. wanted: see above."""

    def is_text(kind: Any) -> bool:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    picture = find_name(schema.names, _PICTURES)
    label = find_name(schema.names, (wanted,) if wanted else _LABELS)
    if picture is None or label is None:
        missing = " or ".join(_PICTURES if picture is None else (wanted,) if wanted else _LABELS)
        return f"it has no column {missing}, but {', '.join(schema.names[:_MOST_NAMED])}"
    kind = schema.field(picture).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        picture, kind = f"{picture}.bytes", kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return f"its column {picture} holds no files of pictures"
    label_kind = schema.field(label).type
    if not (pa.types.is_integer(label_kind) or is_text(label_kind)):
        return f"its column {label} holds neither whole numbers nor text"
    split = find_name([name for name in schema.names if name not in (label, picture)], _SPLITS)
    return picture, label, split if split is not None and is_text(schema.field(split).type) else None


def find_name(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """The column called so: rather letter by letter than in another case."""
    found = {name.strip().casefold(): name for name in reversed(names)} | {name: name for name in names}
    return next((found[name] for one in wanted for name in (one, one.strip().casefold()) if name in found), None)


def find_class_names(schema: Any, label: str) -> list[str] | None:
    """The names of the classes, where Hugging Face's library has written them."""
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])
        names = described["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def read_column(file: Any, column: str, num_rows: int) -> Iterator[Any]:
    """Each value of a column, or of a part of one such as `image.bytes`."""
    for batch in file.iter_batches(num_rows, columns=[column], use_threads=False):
        values = batch.column(0)
        for part in column.split(".")[1:]:
            values = values.flatten()[values.type.get_field_index(part)]
        for value in values:
            yield value.as_py()


def write_frame(content: bytes) -> None:
    """Its length and itself."""
    sys.stdout.buffer.write(struct.pack(">I", len(content)))
    sys.stdout.buffer.write(content)


if __name__ == "__main__":
    main()
