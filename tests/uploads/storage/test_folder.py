"""Files in a folder: what is so of a folder only. What every storage does is in test_storage.py."""

import os
import time
from pathlib import Path

import pytest

from uploads.storage.folder import Folder
from uploads.storage.keys import key_of, thumbnail_key_of

NAME = "ab" + "0" * 30
KEY = key_of("image", NAME, ".jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "uploads")


def put(folder: Folder, key: str = KEY, age: float = 0) -> None:
    source = folder.incoming.path / "made"
    source.write_bytes(b"0123456789")
    moment = time.time() - age
    os.utime(source, (moment, moment))
    folder.put(source, key)


def test_files_are_spread_by_the_beginning_of_their_names(folder: Folder) -> None:
    put(folder)
    assert (folder.root / "images" / "ab" / f"{NAME}.jpg").read_bytes() == b"0123456789"


def test_a_fetched_file_is_the_file_itself(folder: Folder) -> None:
    put(folder)
    with folder.fetched(KEY) as path:
        assert path == folder.root / "images" / "ab" / f"{NAME}.jpg"
    assert path.exists()


def test_young_files_are_not_listed(folder: Folder) -> None:
    put(folder, age=100)
    put(folder, thumbnail_key_of(NAME), age=10)
    assert list(folder.keys("ab", 50)) == [KEY]


def test_the_server_hands_files_of_a_folder_out_itself(folder: Folder) -> None:
    put(folder)
    assert folder.address(KEY, {}, 1_000) is None
    assert folder.is_there()
