"""Files in a folder: `area/ab/abcd….jpg`, spread over 256 folders, so that none grows to where listing hurts."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from uploads.storage.incoming import Incoming, older
from uploads.storage.keys import AREAS

__all__ = ["Folder"]


class Folder:
    """A storage in a folder; see Storage. Several hosts may share it, by NFS for example."""

    def __init__(self, root: Path):
        self.root = root
        self.incoming = Incoming(root)  # on the same file system, so that finished files only change their name

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

    @contextmanager
    def fetched(self, key: str) -> Iterator[Path | None]:
        """Give the file's own path; see Storage."""
        path = self._path(key)
        yield path if path.exists() else None

    def delete(self, key: str) -> None:
        """Delete a file; see Storage."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, shard: str, older_than: float) -> Iterator[str]:
        """Return old files of a shard; see Storage."""
        before = time.time() - older_than
        for area in AREAS:
            for path in older(self.root / area / shard, before):
                yield f"{area}/{path.name}"

    def is_there(self) -> bool:
        """Tell that it is: room on the disk is looked for where everything else needs it, too."""
        return True

    def address(self, key: str, headers: Mapping[str, str], seconds: float) -> None:  # noqa: ARG002
        """Tell that there is none but the server's own; see Storage."""
        return

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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
