"""What happens when there is no room for more."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from storage.disk_quota import Room, measure_folder
from storage.errors import DiskFull
from storage.settings import Settings

MIB = 1024**2


def test_a_disk_with_less_than_the_floor_free_is_full(settings: Settings) -> None:
    settings.data_dir.mkdir()
    free = shutil.disk_usage(settings.data_dir).free
    Room(settings.model_copy(update={"min_free_bytes": 0})).check(free // 2)
    with pytest.raises(DiskFull, match=r"the disk must keep 0 MiB free"):
        Room(settings.model_copy(update={"min_free_bytes": 0})).check(2 * free)
    with pytest.raises(DiskFull, match=r"MiB free"):
        Room(settings.model_copy(update={"min_free_bytes": 2 * free})).check()


def test_a_data_directory_at_its_ceiling_is_full_and_the_error_names_no_path(settings: Settings) -> None:
    (settings.data_dir / "files").mkdir(parents=True)
    (settings.data_dir / "files" / "a").write_bytes(bytes(MIB))
    (settings.data_dir / "b").write_bytes(bytes(MIB))
    assert measure_folder(settings.data_dir) == 2 * MIB
    ceiling = settings.model_copy(update={"max_data_bytes": 3 * MIB, "min_free_bytes": 0})
    Room(ceiling).check(MIB)
    with pytest.raises(DiskFull, match=r"may store 3 MiB") as refused:
        Room(ceiling).check(MIB + 1)
    assert str(settings.data_dir) not in str(refused.value)


def test_a_service_that_has_stored_nothing_yet_has_room(settings: Settings) -> None:
    assert not settings.data_dir.exists()
    Room(settings.model_copy(update={"min_free_bytes": 0, "max_data_bytes": 0})).check()


def test_what_is_still_coming_in_takes_room_although_no_file_shows_it(settings: Settings) -> None:
    room = Room(settings.model_copy(update={"max_data_bytes": 3 * MIB, "min_free_bytes": 0}))
    with room.hold() as held:
        held.grow(2 * MIB)
        room.check(MIB)
        with pytest.raises(DiskFull, match=r"may store 3 MiB"):
            room.check(MIB + 1)
        # To store it is to keep what is held already.
        room.check(2 * MIB, held_bytes=2 * MIB)
        with pytest.raises(DiskFull, match=r"may store 3 MiB"), room.hold() as other:
            other.grow(MIB + 1)
    room.check(3 * MIB)


def test_of_many_files_that_come_together_bit_by_bit_as_many_are_taken_as_fit(settings: Settings) -> None:
    size, step = 16 * MIB, MIB
    room = Room(settings.model_copy(update={"max_data_bytes": 3 * size + step, "min_free_bytes": 0}))
    with ExitStack() as open_until:
        coming = [open_until.enter_context(room.hold()) for _ in range(24)]
        # All ask, one after the other, before any of the refused has come so far as to end.
        for _ in range(size // step):
            refused = []
            for held in coming:
                try:
                    held.grow(step)
                except DiskFull:
                    refused.append(held)
            coming = [held for held in coming if held not in refused]
        assert [held.num_bytes for held in coming] == [size] * 3
        with pytest.raises(DiskFull):
            room.check(2 * step)
    room.check(3 * size)


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "not seen"])
def test_a_file_gets_its_name_while_the_directory_is_measured_and_counts_once(
    settings: Settings, is_seen: bool
) -> None:
    settings.data_dir.mkdir()
    at_it, may_end = Event(), Event()

    def measure(folder: Path, but: Path) -> int:
        before = measure_folder(folder, but)
        at_it.set()
        assert may_end.wait(60)
        return measure_folder(folder, but) if is_seen else before

    room = Room(settings.model_copy(update={"max_data_bytes": 3 * MIB, "min_free_bytes": 0}), measure)
    with ThreadPoolExecutor(1) as pool:
        try:
            asked = pool.submit(room.check)
            assert at_it.wait(60)
            with room.note(2 * MIB):
                (settings.data_dir / "a").write_bytes(bytes(2 * MIB))
        finally:
            may_end.set()
        asked.result(60)
    room.check(MIB)
    with pytest.raises(DiskFull):
        room.check(MIB + 1)
