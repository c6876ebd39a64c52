"""Where the files of uploads lie. `Storage` is all that the rest knows: a folder of the data directory, or a bucket.

Everything here may block: a server with an event loop calls it through the workshop. A key is `area/name`, made by us.
One more place to keep files is one more file here, and a line in `storage_of`. Knows no event loop: Celery uses it too.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from chat.storage_address import storage_address
from uploads.storage.folder import Folder
from uploads.storage.incoming import Incoming
from uploads.storage.keys import AREAS, SHARDS, key_of, thumbnail_key_of

__all__ = ["AREAS", "SHARDS", "AwayError", "Opened", "Storage", "key_of", "storage_of", "thumbnail_key_of"]


class AwayError(OSError):
    """A storage elsewhere does not answer, or refuses; the text says what it was asked, and nothing that is secret."""


class Opened(Protocol):
    """A stored file that is being read."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset` on, at most `length`. Raises OSError."""

    def close(self) -> None:
        """Let it go."""


class Storage(Protocol):
    """A place for files. A file never changes: it is put once, read often, and deleted.

    `incoming` is where files of this host lie until they are put.
    """

    incoming: Incoming

    def put(self, source: Path, key: str) -> None:
        """Take a file of the same machine over under a key; it is there after a power cut. Raises OSError."""

    def open(self, key: str) -> Opened | None:
        """Open a file; None if there is none. Raises OSError."""

    def fetched(self, key: str) -> AbstractContextManager[Path | None]:
        """Give a path at which the file can be read on this machine inside; None if there is none. Raises OSError."""

    def delete(self, key: str) -> None:
        """Delete a file, if it is there. Raises OSError."""

    def keys(self, shard: str, older_than: float) -> Iterator[str]:
        """Return the keys of a shard (one of SHARDS) whose files are older than so many seconds. Raises OSError."""

    def is_there(self) -> bool:
        """Tell whether files can be put and read at the moment. May take some seconds."""

    def address(self, key: str, headers: Mapping[str, str], seconds: float) -> tuple[str, int] | None:
        """Return an address elsewhere that gives the file, with these headers, to everybody, and how long it is good.

        That is at most `seconds`; the second value in whole seconds from now. None: the server hands the file out
        itself. Does not block.
        """


def storage_of(config: Mapping[str, Any]) -> Storage | None:
    """Return the storage that the settings name; None where there is neither STORAGE_URL nor DATA_DIR."""
    if not config["DATA_DIR"]:
        return None
    root, address = Path(config["DATA_DIR"], "uploads"), storage_address(config)
    if address is None:
        return Folder(root)
    from uploads.storage.s3 import S3  # half a second and 23 MB, which a server with a folder need not have

    return S3(address, root)
