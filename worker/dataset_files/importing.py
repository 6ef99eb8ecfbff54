"""A user's file → one decoded cache and what is to be known of it."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidDataset
from worker.catalog import Conversion, RefusalReason, ResizeMode, SplitName
from worker.dataset_files.archive import open_archive
from worker.dataset_files.cache import CacheFacts, write_cache
from worker.dataset_files.decoding import convert_content, decode_contents
from worker.dataset_files.formats import READERS, find_format
from worker.dataset_files.limits import LIMITS, DatasetLimits
from worker.dataset_files.naming import sort_classes
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Content, PictureSource, RefusalLog, show_name
from worker.dataset_files.splitting import draw_test
from worker.dataset_files.spool import PictureSpool
from worker.dataset_files.summary import DatasetSummary
from worker.picture_conversion import UnusablePicture
from worker.picture_policy import LARGEST_SIDE, ResizePolicy
from worker.progress import Progress, QuietReporter, Reporter

_SPLIT_CODES = tuple(SplitName)


@dataclass(frozen=True)
class _Decoded:
    """What is in the spool. rows: each picture's place among the items; sums, squares: (N, C) of its samples."""

    spool: PictureSpool
    rows: NDArray[np.int64]
    sums: NDArray[np.uint64]
    squares: NDArray[np.uint64]
    conversions: Counter[Conversion]


@dataclass(frozen=True)
class _Assigned:
    """labels, splits: of each picture, int64 (N,); a split is its place in SplitName, -1 for a picture left out."""

    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    is_test_drawn: bool


def import_dataset(
    path: Path,
    target: Path,
    options: DatasetOptions | None = None,
    reporter: Reporter | None = None,
    limits: DatasetLimits = LIMITS,
) -> DatasetSummary:
    """Decodes the pictures of a file into a cache at `target`, beside which as much room again is needed meanwhile.

    Raises InvalidDataset, which names the option or `file`, `classes` or `pictures`; then nothing is at `target`.
    """
    options, reporter = options or DatasetOptions(), reporter or QuietReporter()
    log = RefusalLog()
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as at,
        open_archive(path, Path(at), limits) as archive,
    ):
        format_name = options.format or find_format(archive)
        source = READERS[format_name](archive, log)
        _check_items(source, log, limits)
        resize, contents = _find_policy(source, options)
        with Path(at, "pictures").open("w+b") as file:
            spool = PictureSpool(file, resize.height, resize.width)
            decoded = _decode(source, contents, resize, options, spool, log, reporter, limits)
            assigned = _assign(source, decoded, options, log, limits)
            labels = {
                split: assigned.labels[assigned.splits == code]
                for code, split in enumerate(_SPLIT_CODES)
                if (assigned.splits == code).any()
            }
            mean, std = _measure(decoded, assigned.splits == _SPLIT_CODES.index(SplitName.TRAIN), resize)
            facts = CacheFacts(class_names=assigned.class_names, resize=resize, mean=mean, std=std)
            shape = (spool.channels, resize.height, resize.width)
            chosen = (spool.read(assigned.splits == _SPLIT_CODES.index(split)) for split in labels)
            written = write_cache(Path(at, "cache"), facts, labels, shape, itertools.chain.from_iterable(chosen))
        counts = {
            split: tuple(np.bincount(of_split, minlength=len(assigned.class_names)).tolist())
            for split, of_split in labels.items()
        }
        conversions = decoded.conversions
        if options.channels is None and spool.channels == 1:
            del conversions[Conversion.GRAY_REPEATED]
        summary = DatasetSummary(
            format=format_name,
            class_names=assigned.class_names,
            input_shape=shape,
            resize=resize,
            counts=counts,
            is_test_drawn=assigned.is_test_drawn,
            seed=options.seed,
            mean=mean,
            std=std,
            refused=log.list_refused(),
            num_ignored=archive.num_ignored,
            conversions=dict(sorted(conversions.items())),
            warnings=_list_warnings(assigned, counts, log),
            sha256=written.sha256,
            num_bytes=written.num_bytes,
        )
        Path(at, "cache").replace(target)
    return summary


def _check_items(source: PictureSource, log: RefusalLog, limits: DatasetLimits) -> None:
    if not source.items:
        refused = log.describe()
        told = f"; refused: {refused}" if refused else ""
        raise InvalidDataset(f"the file holds no picture of a class{told}", field="pictures")
    if len(source.items) > limits.max_pictures:
        raise InvalidDataset(
            f"the file holds {len(source.items):,} pictures; {limits.max_pictures:,} are allowed", field="pictures"
        )
    sort_classes((item.label for item in source.items), limits)
    splits = {item.split for item in source.items}
    if SplitName.TRAIN not in splits and None not in splits:
        raise InvalidDataset("the file holds no training pictures", field="pictures")


def _find_policy(source: PictureSource, options: DatasetOptions) -> tuple[ResizePolicy, Iterator[Content]]:
    """The size of all pictures, by default that of the first that can be read; and all contents, that one too."""
    height = width = options.size
    looked_at: list[Content] = []
    while height is None or width is None:
        content = next(source.contents, None)
        if content is None:
            raise InvalidDataset("none of the pictures can be decoded", field="pictures")
        looked_at.append(content)
        if isinstance(content, RefusalReason):
            continue
        try:
            width, height = convert_content(content, options.channels, None).original_size
        except UnusablePicture:
            continue
        if max(width, height) > LARGEST_SIDE:
            raise InvalidDataset(
                f"{show_name(source.items[len(looked_at) - 1].name)} has {width} x {height} pixels, and a network "
                f"reads {LARGEST_SIDE} on a side: name the size to make of all pictures",
                field="size",
            )
    policy = ResizePolicy(height=height, width=width, mode=options.mode, background=options.background)
    return policy, itertools.chain(looked_at, source.contents)


def _decode(
    source: PictureSource,
    contents: Iterator[Content],
    resize: ResizePolicy,
    options: DatasetOptions,
    spool: PictureSpool,
    log: RefusalLog,
    reporter: Reporter,
    limits: DatasetLimits,
) -> _Decoded:
    """Fills the spool. Where no size was asked for, a picture of another than the first is an error."""
    rows: list[int] = []
    sums, squares = [], []
    conversions: Counter[Conversion] = Counter()
    total = len(source.items)
    if total * (options.channels or 1) * resize.height * resize.width > limits.max_decoded_bytes:
        raise _too_many_bytes(total, options.channels or 1, resize, limits)
    used = resize if options.size is not None else resize.model_copy(update={"mode": ResizeMode.EXACT})
    for batch in decode_contents(contents, options.channels, used):
        for place, reason in batch.refused.items():
            log.add(source.items[place].name, reason)
        if batch.other_size is not None and options.size is None:
            first = next(place for place, reason in batch.refused.items() if reason is RefusalReason.OTHER_SIZE)
            raise InvalidDataset(
                f"the first picture has {resize.width} x {resize.height} pixels, {show_name(source.items[first].name)} "
                f"has {batch.other_size[0]} x {batch.other_size[1]}: name the size to make of all pictures",
                field="size",
            )
        spool.append(batch.pixels)
        if spool.num_bytes > limits.max_decoded_bytes:
            raise _too_many_bytes(total, spool.channels, resize, limits)
        rows += batch.rows
        sums.append(batch.sums)
        squares.append(batch.squares)
        conversions += batch.conversions
        reporter.report(Progress(phase="decoding", percent=100 * batch.end / total))
    if not rows:
        raise InvalidDataset(f"none of the pictures can be used: {log.describe()}", field="pictures")

    def join(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
        return np.concatenate([np.broadcast_to(part, (len(part), spool.channels)) for part in parts if len(part)])

    return _Decoded(spool, np.array(rows, np.int64), join(sums), join(squares), conversions)


def _too_many_bytes(num_pictures: int, channels: int, resize: ResizePolicy, limits: DatasetLimits) -> InvalidDataset:
    num_bytes = num_pictures * channels * resize.height * resize.width
    return InvalidDataset(
        f"{num_pictures:,} pictures of {channels} x {resize.height} x {resize.width} are {num_bytes >> 20:,} MiB; "
        f"{limits.max_decoded_bytes >> 20:,} are allowed: ask for a smaller size",
        field="size",
    )


def _assign(
    source: PictureSource, decoded: _Decoded, options: DatasetOptions, log: RefusalLog, limits: DatasetLimits
) -> _Assigned:
    """Gives each decoded picture its class and its split. Classes are those of the training pictures."""
    items = [source.items[row] for row in decoded.rows]
    # What has no split is drawn from, and what is left of it is trained on.
    wanted = np.array([_SPLIT_CODES.index(item.split or SplitName.TRAIN) for item in items], np.int64)
    train = _SPLIT_CODES.index(SplitName.TRAIN)
    known = sort_classes((item.label for item, split in zip(items, wanted, strict=True) if split == train), limits)
    if source.class_names is not None:
        found = frozenset(known)
        known = tuple(name for name in source.class_names if name in found)
    if len(known) < limits.min_classes:
        named = ", ".join(map(show_name, known)) or "none"
        raise InvalidDataset(
            f"the training pictures have {len(known)} classes ({named}); at least {limits.min_classes} are needed",
            field="classes",
        )
    places = {name: place for place, name in enumerate(known)}
    labels = np.array([places.get(item.label, -1) for item in items], np.int64)
    for item, label in zip(items, labels, strict=True):
        if label < 0:
            log.add(item.name, RefusalReason.UNKNOWN_CLASS)
    splits = np.where(labels < 0, -1, wanted)
    test = _SPLIT_CODES.index(SplitName.TEST)
    is_test_drawn = not (splits == test).any()
    if is_test_drawn:
        candidates = np.flatnonzero(splits == train)
        drawn = draw_test(labels[candidates], known, options.test_fraction, options.seed)
        splits[candidates[drawn]] = test
    if not (splits == test).any():
        raise InvalidDataset("no class has a picture to spare for the test split", field="pictures")
    return _Assigned(known, labels, splits, is_test_drawn)


def _measure(
    decoded: _Decoded, chosen: NDArray[np.bool_], resize: ResizePolicy
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, a pixel being 0 to 1. Sums are whole numbers: every machine agrees."""
    num_samples = int(chosen.sum()) * resize.height * resize.width
    means, deviations = [], []
    for channel in range(decoded.spool.channels):
        total = int(decoded.sums[chosen, channel].sum())
        squares = int(decoded.squares[chosen, channel].sum())
        means.append(total / num_samples / 255)
        deviations.append(math.sqrt(num_samples * squares - total * total) / num_samples / 255)
    if not all(deviations):
        raise InvalidDataset("all pixels of a channel are the same: there is nothing to tell apart", field="pictures")
    return tuple(means), tuple(deviations)


def _list_warnings(assigned: _Assigned, counts: dict[SplitName, tuple[int, ...]], log: RefusalLog) -> tuple[str, ...]:
    warnings = []
    if refused := log.describe():
        warnings.append(f"not all became pictures of the data set: {refused}")
    for split, of_split in counts.items():
        if missing := [name for name, count in zip(assigned.class_names, of_split, strict=True) if count == 0]:
            shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
            warnings.append(f"{len(missing)} classes have no picture in the {split} split: {shown}")
    return tuple(warnings)
