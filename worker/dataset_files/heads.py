"""What the first bytes of a file tell: whether it can be a data set at all. The API asks before there is a job."""

from __future__ import annotations

from typing import BinaryIO

from storage.errors import InvalidDataset

_TAKEN = (b"PK\x03\x04", b"PAR1")
"""Zip and Parquet."""
_NEARLY: tuple[tuple[bytes, str], ...] = (
    (b"PK\x05\x06", "it is a zip file of nothing"),
    (b"\x1f\x8b", "it is gzip: send IDX files in a zip, and unpack a .tar.gz into one"),
    (b"\x93NUMPY", "it is one NumPy array: save pictures and labels together, as numpy.savez does"),
    (b"\x80", "it is a pickle, which could run code: save arrays as numpy.savez does"),
    (b"Rar!", "it is RAR: send a zip"),
    (b"7z\xbc\xaf", "it is 7-Zip: send a zip"),
    (b"\x89PNG", "it is one picture: send a zip with a folder for each class"),
    (b"\xff\xd8\xff", "it is one picture: send a zip with a folder for each class"),
    (b"<", "it is a page or a text: maybe a download that did not work"),
)


def check_dataset_head(stream: BinaryIO) -> None:
    """Raises InvalidDataset for what is neither a zip file nor Parquet, as which every format comes."""
    stream.seek(0)
    head = stream.read(8)
    stream.seek(0)
    if head.startswith(_TAKEN):
        return
    reason = next((words for magic, words in _NEARLY if head.startswith(magic)), "it is neither zip nor Parquet")
    raise InvalidDataset(f"the file cannot become a data set: {reason}", field="file")
