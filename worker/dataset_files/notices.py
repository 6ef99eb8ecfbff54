"""What is to be known of an imported data set, each with a code and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from worker.catalog import DatasetWarning, SplitName
from worker.dataset_files.source import MOST_NAMED, RefusalLog, show_first
from worker.dataset_files.summary import DatasetNotice
from worker.dataset_refs import LEAST_TO_VALIDATE


def list_notices(
    class_names: Sequence[str], counts: Mapping[SplitName, Sequence[int]], num_shared: int, log: RefusalLog
) -> tuple[DatasetNotice, ...]:
    """counts: pictures of each class, by split. num_shared: test pictures that are trained on too."""
    notices = [*log.notices]
    refused = sum(group.count for group in log.list_refused())
    if refused:
        detail = f"not all became pictures of the data set: {log.describe()}"
        notices.append(DatasetNotice(code=DatasetWarning.REFUSED, detail=detail, count=refused))
    for split, of_split in counts.items():
        missing = [name for name, count in zip(class_names, of_split, strict=True) if count == 0]
        if missing:
            notices.append(
                _build_class_notice(
                    DatasetWarning.CLASS_WITHOUT_PICTURES,
                    split,
                    missing,
                    f"have no picture in the {split} split, where nothing can be told of them",
                )
            )
    if SplitName.VALIDATION not in counts:
        train = zip(class_names, counts[SplitName.TRAIN], strict=True)
        single = [name for name, count in train if count < LEAST_TO_VALIDATE]
        if single:
            follows = "nothing can be trained" if len(single) == len(class_names) else "no decision goes by them"
            notices.append(
                _build_class_notice(
                    DatasetWarning.CLASS_OF_ONE_PICTURE,
                    SplitName.TRAIN,
                    single,
                    f"have a single picture to train on, and none to validate: {follows}",
                )
            )
    if num_shared:
        detail = f"{num_shared} test pictures have the very pixels of a training picture: test says less of them"
        notices.append(
            DatasetNotice(code=DatasetWarning.SHARED_PICTURES, detail=detail, split=SplitName.TEST, count=num_shared)
        )
    return tuple(notices)


def _build_class_notice(code: DatasetWarning, split: SplitName, names: Sequence[str], told: str) -> DatasetNotice:
    return DatasetNotice(
        code=code,
        detail=f"{len(names)} classes {told}: {show_first(names)}",
        split=split,
        count=len(names),
        class_names=tuple(names[:MOST_NAMED]),
    )
