"""A stored file as an answer: a range of it or all, kept by caches, and never run as a page; or where else it lies.

The file is read piece by piece in the workshop's threads, so that a slow disk or a slow client delays nobody else. A
signed address is open to everybody, so there are only so many downloads at a time, and each must be taken at a pace.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import gevent
from flask import Response, request
from werkzeug.datastructures import Range

from chat.errors import ChatError
from chat.pace import Pace
from uploads.names import disposition
from uploads.places import Places
from uploads.storage import Opened, Storage
from uploads.workshop import Workshop

__all__ = ["DOWNLOADS", "Served", "respond", "sent_elsewhere", "unchanged"]

PIECE = 65_536  # bytes read and sent at a time; a slow client holds two, the piece and its copy behind the head
# At a time in a process: if all of them are slow, 70 MB of pieces, and 134 MB of what a bucket's files hold besides.
DOWNLOADS = 512
# `sandbox`: whatever a browser makes of it, it has no origin and runs nothing.
POLICY = "sandbox; default-src 'none'"
OPEN_TO_ALL = {
    "X-Content-Type-Options": "nosniff",
    # Pages of CORS_ORIGINS show it in an <img>, which sends no origin to look at; the signature is what counts.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


class Served(NamedTuple):
    """How a file goes out. `etag` names its content; `seconds`: caches may keep it for so long (0: ask each time).

    `file_name` is empty for an image of ours, which may be shown; everything else is only to be saved, under it.
    """

    mime_type: str
    etag: str
    seconds: int
    file_name: str


def unchanged(served: Served) -> Response | None:
    """Return the answer to whoever has the file already, None to everybody else."""
    if not request.if_none_match.contains_weak(served.etag):
        return None
    return Response(status=304, headers=_headers(served))


def sent_elsewhere(storage: Storage, key: str, served: Served) -> Response | None:
    """Return the answer that sends a browser to the storage's own address of a file; None: hand it on yourself.

    That is done for what caches may not keep: so a token that came with the request never goes along to another host,
    as some clients let it. And for HEAD, for which such an address is not good. The storage cannot be told to answer
    `nosniff`: whatever is no image of ours is only saved there, and no origin but the storage's own is touched by it.
    """
    if not served.seconds or request.method != "GET":
        return None
    saved = disposition(served.file_name) if served.file_name else "inline"
    found = storage.address(key, {"Content-Type": served.mime_type, "Content-Disposition": saved}, served.seconds)
    if found is None:
        return None
    headers = {
        "Location": found[0],
        "Cache-Control": f"private, max-age={found[1]}",
        **OPEN_TO_ALL,
    }
    return Response(status=302, headers=headers)


def respond(file: Opened, served: Served, workshop: Workshop, downloads: Places) -> Response:
    """Return the answer to the request at hand; it closes the file once it was sent, or cannot be.

    Raises ChatError overloaded or rate_limited where there are too many `downloads`, by address.
    """
    headers = _headers(served)
    wanted = _range(served.etag)
    if wanted is None:
        return _body(_Pieces(file, workshop, 0, file.size), downloads, 200, headers)
    found = wanted.range_for_length(file.size)
    if found is None:
        workshop.store(file.close)
        headers["Content-Range"] = f"bytes */{file.size}"
        return Response(status=416, headers=headers)
    headers["Content-Range"] = f"bytes {found[0]}-{found[1] - 1}/{file.size}"
    return _body(_Pieces(file, workshop, *found), downloads, 206, headers)


def _range(etag: str) -> Range | None:
    """Return the one range asked for; several are answered by all, and so is a range of what has changed since."""
    wanted = request.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or request.method != "GET":
        return None
    condition = request.headers.get("If-Range")
    return wanted if condition is None or condition.strip() == f'"{etag}"' else None


def _headers(served: Served) -> dict[str, str]:
    headers = {
        "Content-Type": served.mime_type,
        "ETag": f'"{served.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, immutable, max-age={served.seconds}" if served.seconds else "private, no-cache",
        "Content-Security-Policy": POLICY,
        **OPEN_TO_ALL,
    }
    if served.file_name:
        headers["Content-Disposition"] = disposition(served.file_name)
    return headers


def _body(pieces: "_Pieces", downloads: Places, status: int, headers: dict[str, str]) -> Response:
    address = request.remote_addr or ""
    try:
        downloads.take(address)
    except ChatError:
        pieces.close()
        raise
    pieces.on_close = partial(downloads.give_back, address)
    headers["Content-Length"] = str(pieces.left)
    return Response(pieces, status, headers, direct_passthrough=True)


class _Pieces:
    """A part of a file, piece by piece. No generator: one that was never begun would not close the file.

    While a piece is on its way the client has only so much time to take it; then an OSError ends the connection.
    """

    on_close: Callable[[], None] | None = None

    def __init__(self, file: Opened, workshop: Workshop, begin: int, end: int):
        self._file, self._workshop = file, workshop
        self._begin, self._end = begin, end
        self._pace, self._timeout = Pace(), gevent.Timeout(None)
        self._sent_at, self._sent = 0.0, 0

    @property
    def left(self) -> int:
        """Bytes that are still to be read."""
        return self._end - self._begin

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._timeout.close()
        if self._sent:
            self._pace.note(self._sent, time.monotonic() - self._sent_at)
        piece = self._workshop.store(self._file.read, self._begin, min(PIECE, self.left)) if self.left else b""
        if not piece:
            raise StopIteration  # of a file shorter than it was the client knows by the length
        self._begin += len(piece)
        self._sent_at, self._sent = time.monotonic(), len(piece)
        wait = self._pace.seconds_for(len(piece))
        self._timeout = gevent.Timeout.start_new(wait, TimeoutError("the answer was not taken in time"))
        return piece

    def close(self) -> None:
        self._timeout.close()
        try:
            self._workshop.store(self._file.close)
        finally:
            if self.on_close is not None:
                self.on_close()
