"""Where the files of uploads lie. `Storage` is all that the rest knows; a folder of the data directory is one.

Everything here may block: a server with an event loop calls it through the workshop. A key is `area/name`, made by us;
the folder spreads them over 256 folders, so that none grows to where listing hurts.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = [
    "AREAS",
    "FILES",
    "IMAGES",
    "SHARDS",
    "THUMBNAILS",
    "Folder",
    "Opened",
    "Storage",
    "folder_of",
    "key_of",
    "thumbnail_key_of",
]

IMAGES, THUMBNAILS, FILES = "images", "thumbnails", "file"
AREAS = (IMAGES, THUMBNAILS, FILES)
SHARDS = [f"{number:02x}" for number in range(256)]
INCOMING = "incoming"


class Opened(Protocol):
    """A stored file that is being read."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset` on, at most `length`."""

    def close(self) -> None:
        """Let it go."""


class Storage(Protocol):
    """A place for files. A file never changes: it is put once, read often, and deleted."""

    def put(self, source: Path, key: str) -> None:
        """Take a file of the same machine over under a key; it is there after a power cut. Raises OSError."""

    def open(self, key: str) -> Opened | None:
        """Open a file; None if there is none. Raises OSError."""

    def fetch(self, key: str) -> Path | None:
        """Return a path at which the file can be read on this machine; None if there is none. Raises OSError."""

    def delete(self, key: str) -> None:
        """Delete a file, if it is there. Raises OSError."""

    def keys(self, shard: str, older_than: float) -> Iterator[str]:
        """Return the keys of a shard (one of SHARDS) whose files are older than so many seconds. Raises OSError."""


def folder_of(config: Mapping[str, Any]) -> "Folder | None":
    """Return the folder of uploads in the data directory; None where there is no data directory."""
    return Folder(Path(config["DATA_DIR"], "uploads")) if config["DATA_DIR"] else None


def key_of(kind: str, name: str, extension: str) -> str:
    """Return the key of an upload's file."""
    return f"{IMAGES if kind == 'image' else FILES}/{name}{extension}"


def thumbnail_key_of(name: str) -> str:
    """Return the key of an image's thumbnail."""
    return f"{THUMBNAILS}/{name}_thumb.jpg"


class Folder:
    """Files in a folder: `area/ab/abcd….jpg`. Several hosts may share it, by NFS for example."""

    def __init__(self, root: Path):
        self.root = root

    @property
    def incoming(self) -> Path:
        """A folder for what is not finished, on the same file system, so that finished files only change their name."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # who may see what is not for the file system to say
        folder = self.root / INCOMING
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, source: Path, key: str) -> None:
        """Take a file over; see Storage."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(source)
        source.replace(target)
        _sync(target.parent)

    def open(self, key: str) -> "_OpenFile | None":
        """Open a file; see Storage."""
        try:
            return _OpenFile(self._path(key))
        except FileNotFoundError:
            return None

    def fetch(self, key: str) -> Path | None:
        """Return the file's own path; see Storage."""
        path = self._path(key)
        return path if path.exists() else None

    def delete(self, key: str) -> None:
        """Delete a file; see Storage."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, shard: str, older_than: float) -> Iterator[str]:
        """Return old files of a shard; see Storage."""
        before = time.time() - older_than
        for area in AREAS:
            for path in _older(self.root / area / shard, before):
                yield f"{area}/{path.name}"

    def sweep_incoming(self, older_than: float) -> int:
        """Delete what a killed process left unfinished so many seconds ago; return how many files that were."""
        found = list(_older(self.root / INCOMING, time.time() - older_than))
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _path(self, key: str) -> Path:
        area, name = key.split("/")
        return self.root / area / name[:2] / name


class _OpenFile:
    """A file read by place, so that one that is read does not hinder another."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        os.close(self._descriptor)


def _older(folder: Path, before: float) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before:
                yield Path(entry.path)
        except FileNotFoundError:
            continue  # deleted meanwhile


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
