"""A user's file → one decoded cache and what is to be known of it."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidDataset
from worker.catalog import Conversion, RefusalReason, ResizeMode, SplitName
from worker.dataset_files.archive import open_archive
from worker.dataset_files.cache import CacheFacts, WrittenCache, write_cache
from worker.dataset_files.decoding import convert_content, decode_contents, judge_unusable
from worker.dataset_files.formats import READERS, find_format
from worker.dataset_files.limits import LIMITS, DatasetLimits
from worker.dataset_files.naming import sort_classes
from worker.dataset_files.notices import list_notices
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Content, PictureSource, RefusalLog, show_name
from worker.dataset_files.splitting import assign_pictures
from worker.dataset_files.spool import PictureSpool
from worker.dataset_files.summary import DatasetSummary
from worker.picture_conversion import UnusablePicture, read_size
from worker.picture_policy import LARGEST_SIDE, ResizePolicy
from worker.pixel_moments import compute_moments
from worker.progress import Progress, QuietReporter, Reporter

_COPIES = 2
"""Of all decoded pictures there are two on disk when the cache is written."""


@dataclass(frozen=True)
class _Decoded:
    """What is in the spool. rows: each picture's place among the items; sums, squares: (N, C) of its samples."""

    spool: PictureSpool
    rows: NDArray[np.int64]
    sums: NDArray[np.uint64]
    squares: NDArray[np.uint64]
    conversions: Counter[Conversion]
    digests: Sequence[bytes]

    def count_shared(self, train: NDArray[np.bool_], others: NDArray[np.bool_]) -> int:
        """How many of the `others` have the very pixels of one of `train`. Both are (N,)."""
        known = {self.digests[place] for place in np.flatnonzero(train).tolist()}
        return sum(self.digests[place] in known for place in np.flatnonzero(others).tolist())


@dataclass(frozen=True)
class WrittenSource:
    """What was found of the pictures of a source while they were written into a cache.

    picture_shape: (channels, height, width). counts: pictures of each class, by split. num_shared: test pictures that
    have the very pixels of a training picture.
    """

    facts: CacheFacts
    picture_shape: tuple[int, int, int]
    counts: dict[SplitName, tuple[int, ...]]
    is_test_drawn: bool
    num_shared: int
    conversions: Counter[Conversion]
    file: WrittenCache


def import_dataset(
    path: Path,
    target: Path,
    options: DatasetOptions | None = None,
    reporter: Reporter | None = None,
    limits: DatasetLimits = LIMITS,
    check_room: Callable[[int], None] | None = None,
) -> DatasetSummary:
    """Decodes the pictures of a file into a cache at `target`, beside which as much room again is needed meanwhile.

    check_room: told of so many bytes before they are written, where they must be held against what there is.
    Raises InvalidDataset, which names the option or `file`, `classes` or `pictures`, and what `check_room` raises; then
    nothing is at `target`.
    """
    options = options or DatasetOptions()
    log = RefusalLog()
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as at,
        open_archive(path, Path(at), limits) as archive,
    ):
        format_name = find_format(archive, options)
        source = READERS[format_name](archive, options, log)
        written = write_source(source, target, options, log, reporter, limits, check_room)
    facts, counts = written.facts, written.counts
    notices = list_notices(facts.class_names, counts, written.num_shared, log)
    return DatasetSummary(
        format=format_name,
        class_names=facts.class_names,
        input_shape=written.picture_shape,
        resize=facts.resize,
        counts=counts,
        is_test_drawn=written.is_test_drawn,
        num_shared=written.num_shared,
        seed=options.seed,
        mean=facts.mean,
        std=facts.std,
        is_mirrorable=facts.is_mirrorable,
        refused=log.list_refused(),
        num_ignored=archive.num_ignored,
        conversions=dict(sorted(written.conversions.items())),
        notices=notices,
        warnings=tuple(notice.detail for notice in notices),
        sha256=written.file.sha256,
        num_bytes=written.file.num_bytes,
    )


def write_source(
    source: PictureSource,
    target: Path,
    options: DatasetOptions,
    log: RefusalLog,
    reporter: Reporter | None = None,
    limits: DatasetLimits = LIMITS,
    check_room: Callable[[int], None] | None = None,
) -> WrittenSource:
    """Decodes the pictures of a source into a cache at `target`, as `import_dataset` does. Closes the source.

    log: told of the pictures that are refused. Raises as `import_dataset`; then nothing is at `target`.
    """
    reporter = reporter or QuietReporter()
    with (
        closing(source.contents),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as at,
        Path(at, "pictures").open("w+b") as file,
    ):
        _check_items(source, log, limits)
        resize, contents = _find_policy(source, options, log)
        spool = PictureSpool(file, resize.height, resize.width)
        decoded = _decode(source, contents, options, spool, log, reporter, limits, check_room or _check_nothing)
        source.contents.close()  # what it holds of the file is not needed any more
        assigned = assign_pictures(
            [source.items[row] for row in decoded.rows], source.class_names, options, log, limits
        )
        mean, std = _measure(decoded, assigned.choose(SplitName.TRAIN))
        is_mirrorable = spool.channels == 3 if options.mirrorable is None else options.mirrorable
        facts = CacheFacts(
            class_names=assigned.class_names, resize=resize, mean=mean, std=std, is_mirrorable=is_mirrorable
        )
        splits = [split for split in SplitName if assigned.choose(split).any()]
        labels = {split: assigned.labels[assigned.choose(split)] for split in splits}
        images = itertools.chain.from_iterable(spool.read(assigned.choose(split)) for split in splits)
        written = write_cache(Path(at, "cache"), facts, labels, spool.picture_shape, images)
        counts = {
            split: tuple(np.bincount(of_split, minlength=len(assigned.class_names)).tolist())
            for split, of_split in labels.items()
        }
        num_shared = decoded.count_shared(assigned.choose(SplitName.TRAIN), assigned.choose(SplitName.TEST))
        Path(at, "cache").replace(target)
    return WrittenSource(
        facts, spool.picture_shape, counts, assigned.is_test_drawn, num_shared, decoded.conversions, written
    )


def _check_nothing(num_bytes: int) -> None:
    """Nobody keeps account of it."""


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


def _find_policy(
    source: PictureSource, options: DatasetOptions, log: RefusalLog
) -> tuple[ResizePolicy, Iterator[Content]]:
    """The size of all pictures, by default that of the first that can be read; and all contents, that one too."""
    height = width = options.size
    looked_at: list[Content] = []
    while height is None or width is None:
        content = next(source.contents, None)
        if content is None:
            for item, reason in zip(source.items, looked_at, strict=False):
                if isinstance(reason, RefusalReason):
                    log.add(item.name, reason)
            raise InvalidDataset(f"none of the pictures can be used: {log.describe()}", field="pictures")
        if isinstance(content, RefusalReason):
            looked_at.append(content)
            continue
        try:
            # A photograph is not decoded to be told that it is too large.
            found = read_size(content) if isinstance(content, bytes) else (content.shape[1], content.shape[0])
            if max(found) > LARGEST_SIDE:
                raise InvalidDataset(
                    f"{show_name(source.items[len(looked_at)].name)} has {found[0]} x {found[1]} pixels, and a "
                    f"network reads {LARGEST_SIDE} on a side: name the size to make of all pictures",
                    field="size",
                )
            width, height = convert_content(content, options.channels, None).original_size
            looked_at.append(content)
        except UnusablePicture as error:
            looked_at.append(judge_unusable(error))  # and not the file: there may be thousands of them
    policy = ResizePolicy(height=height, width=width, mode=options.mode, background=options.background)
    return policy, itertools.chain(looked_at, source.contents)


def _decode(
    source: PictureSource,
    contents: Iterator[Content],
    options: DatasetOptions,
    spool: PictureSpool,
    log: RefusalLog,
    reporter: Reporter,
    limits: DatasetLimits,
    check_room: Callable[[int], None],
) -> _Decoded:
    """Fills the spool. Where no size was asked for, a picture of another than the first is an error."""
    rows: list[int] = []
    sums, squares = [], []
    conversions: Counter[Conversion] = Counter()
    digests: list[bytes] = []
    num_gray = 0
    total = len(source.items)
    channels = options.channels or 1
    if total * channels * spool.height * spool.width > limits.max_decoded_bytes:
        raise _too_many_bytes(total, channels, spool, limits)
    check_room(_COPIES * total * channels * spool.height * spool.width)
    resize = ResizePolicy(
        height=spool.height,
        width=spool.width,
        mode=ResizeMode.EXACT if options.size is None else options.mode,
        background=options.background,
    )
    with closing(decode_contents(contents, options.channels, resize)) as batches:
        for batch in batches:
            for place, reason in batch.refused.items():
                log.add(source.items[place].name, reason)
            if batch.other_size is not None and options.size is None:
                place, (width, height) = batch.other_size
                raise InvalidDataset(
                    f"{show_name(source.items[place].name)} has {width} x {height} pixels, and those before it "
                    f"{spool.width} x {spool.height}: name the size to make of all pictures",
                    field="size",
                )
            if channels < batch.pixels.shape[1] and len(batch.pixels):  # the first of them with colours
                channels = batch.pixels.shape[1]
                check_room(_COPIES * total * channels * spool.height * spool.width - spool.num_bytes)
            spool.append(batch.pixels)
            if spool.num_bytes > limits.max_decoded_bytes:
                raise _too_many_bytes(total, spool.channels, spool, limits)
            rows += batch.rows
            sums.append(batch.sums)
            squares.append(batch.squares)
            conversions += batch.conversions
            digests += batch.digests
            num_gray += batch.num_gray
            reporter.report(Progress(phase="decoding", percent=100 * batch.end / total))
    if not rows:
        raise InvalidDataset(f"none of the pictures can be used: {log.describe()}", field="pictures")
    if options.channels is None and spool.channels > 1 and num_gray:
        conversions[Conversion.GRAY_REPEATED] = num_gray

    def join(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
        return np.concatenate([np.broadcast_to(part, (len(part), spool.channels)) for part in parts if len(part)])

    return _Decoded(spool, np.array(rows, np.int64), join(sums), join(squares), conversions, digests)


def _too_many_bytes(num_pictures: int, channels: int, spool: PictureSpool, limits: DatasetLimits) -> InvalidDataset:
    num_bytes = num_pictures * channels * spool.height * spool.width
    return InvalidDataset(
        f"{num_pictures:,} pictures of {channels} x {spool.height} x {spool.width} are {num_bytes >> 20:,} MiB; "
        f"{limits.max_decoded_bytes >> 20:,} are allowed: ask for a smaller size",
        field="size",
    )


def _measure(decoded: _Decoded, chosen: NDArray[np.bool_]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, a pixel being 0 to 1. Sums are whole numbers: every machine agrees."""
    num_samples = int(chosen.sum()) * decoded.spool.height * decoded.spool.width
    moments = [
        compute_moments(
            int(decoded.sums[chosen, channel].sum()), int(decoded.squares[chosen, channel].sum()), num_samples
        )
        for channel in range(decoded.spool.channels)
    ]
    means, deviations = zip(*moments, strict=True)
    if not all(deviations):
        raise InvalidDataset("all pixels of a channel are the same: there is nothing to tell apart", field="pictures")
    return means, deviations
