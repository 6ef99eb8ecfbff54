from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from storage.errors import CorruptFile, NotFound
from storage.files import FileStore
from storage.settings import Settings

# SHA-256 of "abc", from FIPS 180-2.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _stored(settings: Settings) -> list[Path]:
    return [path for path in (settings.data_dir / "files").rglob("*") if path.is_file()]


def test_a_file_is_addressed_by_its_sha256(files: FileStore, settings: Settings) -> None:
    stored = files.put_bytes(b"abc")
    assert (stored.sha256, stored.num_bytes) == (ABC, 3)
    assert _stored(settings) == [settings.data_dir / "files" / ABC[:2] / ABC[2:]]
    with files.open_verified(ABC) as stream:
        assert stream.read() == b"abc"


def test_equal_content_is_stored_once(files: FileStore, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"abc")
    assert files.put(tmp_path / "source") == files.put_bytes(b"abc")
    assert len(_stored(settings)) == 1


def test_a_large_file_arrives_whole(files: FileStore, tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "source").write_bytes(content)
    assert files.put(tmp_path / "source").sha256 == hashlib.sha256(content).hexdigest()
    assert files.verify(hashlib.sha256(content).hexdigest()).read_bytes() == content


def test_a_flipped_bit_is_noticed_and_healed_by_storing_the_file_again(files: FileStore) -> None:
    path = files.path(files.put_bytes(b"abc").sha256)
    path.write_bytes(b"abd")
    with pytest.raises(CorruptFile):
        files.verify(ABC)
    files.put_bytes(b"abc")
    assert files.verify(ABC) == path


def test_a_missing_file_is_not_found(files: FileStore) -> None:
    with pytest.raises(NotFound):
        files.verify(ABC)
    assert not files.has(ABC)


@pytest.mark.parametrize("name", ["../../etc/passwd", ABC.upper(), ABC[:-1], ABC + "\n", ""])
def test_only_a_hash_becomes_a_path(files: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        files.path(name)


def test_a_write_that_fails_leaves_nothing(files: FileStore, settings: Settings) -> None:
    (settings.data_dir / "files").mkdir(parents=True)
    (settings.data_dir / "files" / ABC[:2]).write_text("a file where a folder is needed")
    with pytest.raises(OSError) as error:  # noqa: PT011 - which one is asked below
        files.put_bytes(b"abc")
    assert error.value.errno in (errno.EEXIST, errno.ENOTDIR)
    assert list((settings.data_dir / "files" / "tmp").iterdir()) == []


def test_only_old_leftovers_of_dead_writers_are_swept(files: FileStore, settings: Settings) -> None:
    files.put_bytes(b"abc")
    folder = settings.data_dir / "files" / "tmp"
    (folder / "young").write_bytes(b"x")
    (folder / "old").write_bytes(b"x")
    os.utime(folder / "old", (0, 0))
    files.sweep_temporary()
    assert [path.name for path in folder.iterdir()] == ["young"]
    assert files.has(ABC)
