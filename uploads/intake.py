"""The way of an upload: received into a file, looked at, cleaned if it is an image, stored, written down.

Until it is written down nobody can see it; what a failure or a killed process leaves on the disk is swept away.
"""

import errno
import hashlib
import io
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Engine

from chat import media
from chat.errors import ChatError
from chat.frames import Caller, Command
from chat.idempotency import once
from chat.transaction import Teller, Transaction, run_in_transaction
from uploads.allowance import Allowance
from uploads.images import Picture, prepare
from uploads.inspection import HEAD_BYTES, FileType, type_of
from uploads.names import shown_name
from uploads.receiving import OVERHEAD, Received, receive, too_large
from uploads.storage import AwayError, Storage, key_of, thumbnail_key_of
from uploads.survey import BadImageError, TooManyPixelsError, survey
from uploads.workshop import Workshop

__all__ = ["Intake", "storing"]

T = TypeVar("T")
log = logging.getLogger(__name__)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
DISK_SECONDS = 60.0  # after which a full disk may have room again
AWAY_SECONDS = 10.0  # after which a storage that is away may be back
TIDY_SECONDS = 3_600.0  # between sweeps of what killed processes of this host left, and how old that must be
THUMBNAIL_TASK = "tasks.thumbnails.make"


class Body(NamedTuple):
    """A request's body: its length (None: not told), its boundary, how to read it, and the address it comes from."""

    length: int | None
    boundary: str
    read: Callable[[int], bytes]
    address: str


class Prepared(NamedTuple):
    """Files ready to be stored, and what they are."""

    type: FileType
    path: Path
    picture: Picture | None
    thumbnail: Path | None


class Intake:
    """Takes uploads in. `storage` keeps them, `engine` and `teller` write them down; `allowance` counts them."""

    def __init__(self, config: Mapping[str, Any], storage: Storage, workshop: Workshop, engine: Engine, teller: Teller):
        self._config, self._storage, self._workshop = config, storage, workshop
        self._engine, self._teller = engine, teller
        self._tidied = float("-inf")
        self.allowance = Allowance(config)

    def take(self, caller: Caller, body: Body, key: str = "") -> str:
        """Take an upload in and return the encoded JSON of its `media`, addresses unsigned. Raises ChatError.

        `key` is an Idempotency-Key: the same file under the same key is one upload.
        """
        most = self._config["UPLOAD_BYTES"]
        if body.length is not None and body.length > most + OVERHEAD:
            raise too_large("bytes", most)
        with self.allowance.one(caller.user_id, body.address, most if body.length is None else body.length):
            held = self._in_transaction(lambda tx: media.unused(tx, caller.user_id))
            self.allowance.check_unused(held, body.length or 0)
            name = secrets.token_hex(16)
            with storing(), self._scratch(name) as scratch:
                received = self._received(body, scratch)
                command = self._workshop.file(_command, scratch, received, key) if key else None
                prepared = self._prepared(caller, received, scratch)
                return self._kept(caller, name, received, prepared, command)

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        """Give a path in the incoming folder; whatever lies there under this name is deleted afterwards."""
        path = self._workshop.file(self._incoming) / name
        try:
            yield path
        finally:
            self._workshop.file(_delete, path, _clean_of(path), _thumbnail_of(path))

    def _incoming(self) -> Path:
        if time.monotonic() - self._tidied > TIDY_SECONDS:  # here too, for not every host has a worker of Celery
            self._tidied = time.monotonic()
            self._storage.incoming.sweep(TIDY_SECONDS)
        return self._storage.incoming.path

    def _received(self, body: Body, scratch: Path) -> Received:
        file = self._workshop.file(_created, scratch)
        try:
            received = receive(
                body.read,
                body.boundary,
                self._config["UPLOAD_BYTES"],
                HEAD_BYTES,
                lambda piece: self._workshop.file(_write, file, piece),
            )
        finally:
            self._workshop.file(file.close)  # which brings what is still to be written to a server of files
        if self._workshop.file(scratch.stat).st_size != received.size:
            raise OSError(errno.EIO, "not all of a file was kept")
        return received

    def _prepared(self, caller: Caller, received: Received, scratch: Path) -> Prepared:
        type_ = type_of(received.head)
        if not type_.image:
            return Prepared(type_, scratch, None, None)
        clean, thumbnail = _clean_of(scratch), _thumbnail_of(scratch)
        try:
            picture = self._picture(caller, received, scratch, clean, thumbnail)
        except TooManyPixelsError as error:
            raise too_large("pixels", error.most, f"The image has too many pixels: {error}.") from error
        except BadImageError as error:
            raise ChatError("unsupported_media", "The image is damaged, or of a kind that is not taken.") from error
        type_ = FileType(picture.mime_type, picture.extension, type_.image)
        return Prepared(type_, clean, picture, thumbnail if picture.placeholder else None)

    def _picture(self, caller: Caller, received: Received, scratch: Path, clean: Path, thumbnail: Path) -> Picture:
        most, thumbnail_most = self._config["IMAGE_PIXELS"], self._config["THUMBNAIL_PIXELS"]
        found = self._workshop.image(survey, scratch, most)
        self.allowance.charge(caller.user_id, received.size, found.work)
        wanted = scratch, clean, thumbnail, found.frames, thumbnail_most
        return self._workshop.image(prepare, *wanted, large=found.work > thumbnail_most)

    def _kept(self, caller: Caller, name: str, received: Received, prepared: Prepared, command: Command | None) -> str:
        """Store the files, then write them down: what is seen is there. A repeated command's files go again."""
        upload = _upload(name, received, prepared, self._workshop.file(prepared.path.stat).st_size)
        keys = [(prepared.path, key_of(upload.kind, name, upload.extension))]
        if prepared.thumbnail is not None:
            keys.append((prepared.thumbnail, thumbnail_key_of(name)))
        try:
            for path, key in keys:
                self._workshop.store(self._storage.put, path, key)
            data = self._in_transaction(lambda tx: _written(tx, caller, upload, command))
        except ChatError as error:
            if not error.code.happened:  # else the row may be there, and the sweep finds out
                self._dropped(keys)
            raise
        if command is not None and name not in data:
            self._dropped(keys)
        return data

    def _dropped(self, keys: Iterable[tuple[Path, str]]) -> None:
        for _, key in keys:
            self._workshop.store(self._storage.delete, key)

    def _in_transaction(self, work: Callable[[Transaction], T]) -> T:
        return run_in_transaction(self._engine, self._teller, work)


@contextmanager
def storing() -> Iterator[None]:
    """Turn what a disk or a storage says, or a lack of memory, into an answer.

    Raises ChatError overloaded: nothing was kept.
    """
    try:
        yield
    except MemoryError as error:
        log.error("No memory for an upload")
        raise ChatError("overloaded", "Uploads cannot be taken at the moment.", retry_after=DISK_SECONDS) from error
    except AwayError as error:
        log.error("The storage of uploads: %s", error)
        raise ChatError("overloaded", "Uploads cannot be stored at the moment.", retry_after=AWAY_SECONDS) from error
    except OSError as error:
        if error.errno in FULL:
            log.error("No room for uploads: %s", error.strerror)
        else:
            log.exception("The storage of uploads failed")
        raise ChatError("overloaded", "Uploads cannot be stored at the moment.", retry_after=DISK_SECONDS) from error


def _upload(name: str, received: Received, prepared: Prepared, size: int) -> media.Upload:
    type_, picture = prepared.type, prepared.picture
    file_name = shown_name(received.file_name)
    if picture is None:
        return media.Upload(name, "file", type_.mime_type, type_.extension, size, file_name)
    state = "ready" if picture.placeholder else "pending"
    shape = picture.width, picture.height, picture.placeholder
    return media.Upload(name, "image", type_.mime_type, type_.extension, size, file_name, *shape, state)


def _command(scratch: Path, received: Received, key: str) -> Command:
    with scratch.open("rb") as file:
        digest = hashlib.file_digest(file, hashlib.blake2b).hexdigest()
    return Command("upload", None, {"content": digest, "name": received.file_name}, key)


def _written(tx: Transaction, caller: Caller, upload: media.Upload, command: Command | None) -> str:
    def write() -> str:
        if upload.thumbnail == "pending":
            tx.enqueue(THUMBNAIL_TASK, upload.name)
        return media.keep(tx, caller.user_id, upload)

    data: str = write() if command is None else once(tx, caller, command, write)
    return data


def _created(path: Path) -> io.FileIO:
    return path.open("xb", buffering=0)


def _write(file: io.FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]  # a disk that is getting full takes a part, and says so the next time


def _clean_of(path: Path) -> Path:
    return path.with_suffix(".clean")


def _thumbnail_of(path: Path) -> Path:
    return path.with_suffix(".thumb")


def _delete(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
