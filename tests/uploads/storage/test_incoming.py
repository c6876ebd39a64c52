"""The folder of what is not finished."""

import os
import time
from pathlib import Path

from uploads.storage.incoming import Incoming, older


def aged(path: Path, seconds: float) -> None:
    path.write_bytes(b"")
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_only_what_is_long_unfinished_is_swept(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path / "uploads")
    for name, age in (("old", 100), ("new", 0)):
        aged(incoming.path / name, age)
    assert incoming.sweep(50) == 1
    assert [path.name for path in incoming.path.iterdir()] == ["new"]


def test_nothing_is_swept_where_nothing_came_in_yet(tmp_path: Path) -> None:
    assert Incoming(tmp_path / "uploads").sweep(0) == 0
    assert not (tmp_path / "uploads").exists()


def test_nobody_else_of_the_machine_may_look(tmp_path: Path) -> None:
    assert Incoming(tmp_path / "uploads").path.parent.stat().st_mode & 0o077 == 0


def test_links_and_folders_are_no_files(tmp_path: Path) -> None:
    aged(tmp_path / "file", 100)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    assert list(older(tmp_path, time.time() - 50)) == [tmp_path / "file"]
