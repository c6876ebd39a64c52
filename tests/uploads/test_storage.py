"""Files of uploads in a folder."""

import os
import time
from pathlib import Path

import pytest

from uploads.storage import SHARDS, Folder, folder_of, key_of, thumbnail_key_of

NAME = "ab" + "0" * 30
KEY = key_of("image", NAME, ".jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "uploads")


def put(folder: Folder, key: str = KEY, data: bytes = b"0123456789", age: float = 0) -> None:
    source = folder.incoming / "made"
    source.write_bytes(data)
    moment = time.time() - age
    os.utime(source, (moment, moment))
    folder.put(source, key)
    assert not source.exists()


def test_keys_say_the_kind_and_nothing_of_the_user() -> None:
    assert f"images/{NAME}.jpg" == KEY
    assert key_of("file", NAME, ".bin") == f"file/{NAME}.bin"
    assert thumbnail_key_of(NAME) == f"thumbnails/{NAME}_thumb.jpg"


def test_what_was_put_is_read_by_place(folder: Folder) -> None:
    put(folder)
    opened = folder.open(KEY)
    assert opened is not None
    assert opened.size == 10
    assert (opened.read(2, 3), opened.read(8, 100), opened.read(10, 1)) == (b"234", b"89", b"")
    opened.close()
    assert (folder.root / "images" / "ab" / f"{NAME}.jpg").read_bytes() == b"0123456789"
    found = folder.fetch(KEY)
    assert found is not None
    assert found.read_bytes() == b"0123456789"


def test_what_is_not_there_is_none_and_deleting_it_is_no_fault(folder: Folder) -> None:
    assert folder.open(KEY) is None
    assert folder.fetch(KEY) is None
    folder.delete(KEY)
    put(folder)
    folder.delete(KEY)
    assert folder.open(KEY) is None


def test_old_files_are_listed_by_shard(folder: Folder) -> None:
    other = key_of("file", "cd" + "0" * 30, ".bin")
    put(folder, age=100)
    put(folder, thumbnail_key_of(NAME), age=100)
    put(folder, other, age=100)
    put(folder, key_of("file", "ab" + "1" * 30, ".bin"))
    assert sorted(folder.keys("ab", 50)) == sorted([KEY, thumbnail_key_of(NAME)])
    assert list(folder.keys("cd", 50)) == [other]
    assert list(folder.keys("ee", 50)) == []
    assert len(SHARDS) == 256


def test_only_what_is_long_unfinished_is_swept(folder: Folder) -> None:
    for name, age in (("old", 100), ("new", 0)):
        path = folder.incoming / name
        path.write_bytes(b"")
        moment = time.time() - age
        os.utime(path, (moment, moment))
    assert folder.sweep_incoming(50) == 1
    assert [path.name for path in folder.incoming.iterdir()] == ["new"]


def test_without_a_data_directory_there_is_no_folder(tmp_path: Path) -> None:
    assert folder_of({"DATA_DIR": ""}) is None
    found = folder_of({"DATA_DIR": str(tmp_path)})
    assert found is not None
    assert found.root == tmp_path / "uploads"
