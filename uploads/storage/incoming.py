"""The folder of what is not finished: uploads while they come in, images while they are looked at.

It belongs to one host, or to all that share the folder it is in. Whoever makes a file there deletes it; what a killed
process left is swept.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Incoming", "older"]

NAME = "incoming"


class Incoming:
    """The folder `incoming` in another one, made when it is needed."""

    def __init__(self, root: Path):
        self._root = root

    @property
    def path(self) -> Path:
        """The folder. It is made here, and may not be there later: take it anew each time. Raises OSError."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)  # who may see what is not for the file system to say
        folder = self._root / NAME
        folder.mkdir(exist_ok=True)
        return folder

    def sweep(self, older_than: float) -> int:
        """Delete what was left unfinished so many seconds ago; return how many files that were. Raises OSError."""
        found = list(older(self._root / NAME, time.time() - older_than))
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)


def older(folder: Path, before: float) -> Iterator[Path]:
    """Return the files of a folder that were last written before a moment; none if there is no such folder."""
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
