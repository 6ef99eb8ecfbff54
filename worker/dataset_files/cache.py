"""The decoded pictures of a data set in one safetensors file, which is opened without reading it.

It is written as it is computed, a batch at a time: the safetensors library would want all of it in memory. The same
pictures and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from storage.errors import CorruptFile
from worker.catalog import SplitName
from worker.picture_policy import ResizePolicy

_KEY = "tonok_dataset"
_ALIGNMENT = 8
_LENGTH_BYTES = 8
_TYPES = {"U8": np.uint8, "I64": np.int64}


class CacheFacts(BaseModel):
    """What makes a data set of the arrays. Means and deviations are those of the training split, by channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    class_names: tuple[str, ...]
    resize: ResizePolicy
    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_mirrorable: bool
    """Whether a picture mirrored left to right is one of the same class."""


@dataclass(frozen=True)
class CachedSplit:
    """images: uint8 (N, C, H, W), in the file's memory; labels: int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class CachedDataset:
    """A data set's cache, opened."""

    facts: CacheFacts
    splits: Mapping[SplitName, CachedSplit]


@dataclass(frozen=True)
class WrittenCache:
    """sha256, num_bytes: of the file."""

    sha256: str
    num_bytes: int


def write_cache(
    path: Path,
    facts: CacheFacts,
    labels: Mapping[SplitName, NDArray[np.int64]],
    picture_shape: tuple[int, int, int],
    images: Iterable[NDArray[np.uint8]],
) -> WrittenCache:
    """Writes the splits in the order of `labels`. images: batches of the pictures of all of them, in that order."""
    arrays: list[tuple[str, str, Sequence[int], int]] = [
        (f"{split}.labels", "I64", of_split.shape, of_split.nbytes) for split, of_split in labels.items()
    ]
    size = int(np.prod(picture_shape))
    arrays += [
        (f"{split}.images", "U8", (len(of_split), *picture_shape), len(of_split) * size)
        for split, of_split in labels.items()
    ]
    header: dict[str, Any] = {"__metadata__": {_KEY: facts.model_dump_json()}}
    end = 0
    for name, dtype, shape, num_bytes in arrays:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + num_bytes]}
        end += num_bytes
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % _ALIGNMENT)
    digest, num_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        length = len(head).to_bytes(_LENGTH_BYTES, "little")
        pieces: Iterable[bytes | memoryview] = itertools.chain(
            (length, head), map(_view, labels.values()), map(_view, images)
        )
        for piece in pieces:
            digest.update(piece)
            num_bytes += file.write(piece)
    return WrittenCache(digest.hexdigest(), num_bytes)


def _view(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def open_cache(path: Path) -> CachedDataset:
    """Opens a cache that `write_cache` wrote; its pictures are read when they are looked at. Raises CorruptFile."""
    try:
        with safetensors.safe_open(path, "numpy") as file:  # which holds the header against the file
            facts = CacheFacts.model_validate_json(file.metadata()[_KEY])
        with path.open("rb") as stream:
            start = _LENGTH_BYTES + int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            header = json.loads(stream.read(start - _LENGTH_BYTES))
        # The arrays may be written to, as torch wants it, and the file stays as it is.
        memory = np.memmap(path, np.uint8, "c")
        arrays = {
            name: memory[slice(*(start + offset for offset in entry["data_offsets"]))]
            .view(_TYPES[entry["dtype"]])
            .reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
        splits = {
            split: CachedSplit(arrays[f"{split}.images"], arrays[f"{split}.labels"])
            for split in SplitName
            if f"{split}.images" in arrays
        }
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise CorruptFile("the decoded data set cannot be read") from error
    return CachedDataset(facts, splits)
