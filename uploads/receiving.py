"""A multipart body taken apart while it comes in: its one file goes to the disk piece by piece, and the rest nowhere.

Whatever the length said, no more than the bound is read. The memory that an upload takes is one piece.
"""

from collections.abc import Callable
from typing import NamedTuple

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from chat.errors import ChatError

__all__ = ["FIELD", "OVERHEAD", "PIECE", "Received", "receive", "too_large"]

FIELD = "media"
PIECE = 65_536  # bytes read at a time
OVERHEAD = 65_536  # bytes of a body besides the file: boundaries, heads of parts, small fields that others' forms send
AROUND = b"\r\n----\r\n"  # what belongs to the last boundary besides itself
PARTS = 16  # of a body: ours has one, other systems' forms a few


class Received(NamedTuple):
    """What came: the bytes of the file, how it begins, and what the sender calls it."""

    size: int
    head: bytes
    file_name: str


def receive(
    read: Callable[[int], bytes], boundary: str, most: int, head_bytes: int, write: Callable[[bytes], object]
) -> Received:
    """Read a body to its end; hand the file in field `media` to `write`. `read(n)` returns up to n bytes, then none.

    Raises ChatError: `invalid` for what is no such form or ends early, `too_large` beyond `most` bytes of the file.
    """
    return _Form(boundary, most, head_bytes, write).taken(read)


def too_large(unit: str, most: int, message: str = "") -> ChatError:
    """Return the refusal of what has more of a unit (bytes, pixels) than so many; its details say so."""
    return ChatError("too_large", message, details={"unit": unit, "most": most})


class _Decoder(MultipartDecoder):
    """Werkzeug's, but that it keeps a boundary of which all but the last bytes have come.

    Its own lets the line break before such a boundary go as the last byte of the file (3.1.9).
    """

    def _last_partial_boundary_index(self, data: bytes | bytearray) -> int:
        window = max(0, len(data) - len(self.boundary) - len(AROUND))
        breaks = [place for place in (data.find(b"\r", window), data.find(b"\n", window)) if place >= 0]
        return min(breaks, default=len(data))


class _Form:
    def __init__(self, boundary: str, most: int, head_bytes: int, write: Callable[[bytes], object]):
        self._decoder = _Decoder(boundary.encode(), 4 * PIECE, max_parts=PARTS)
        self._most, self._head_bytes, self._write = most, head_bytes, write
        self._name: str | None = None
        self._inside = False
        self._size = 0
        self._head = b""

    def taken(self, read: Callable[[int], bytes]) -> Received:
        try:
            self._read(read)
        except RequestEntityTooLarge as error:
            raise ChatError("too_large", "The form has too much besides its file.") from error
        except ValueError as error:  # of the decoder: not a whole form
            raise ChatError("invalid", f"The form does not hold together or ended early: {error}") from error
        if self._name is None:
            raise ChatError("invalid", details={FIELD: [f"A file in the form field `{FIELD}` is needed."]})
        if not self._size:
            raise ChatError("invalid", details={FIELD: ["The file is empty."]})
        return Received(self._size, self._head, self._name)

    def _read(self, read: Callable[[int], bytes]) -> None:
        total = 0
        while True:
            piece = read(PIECE)
            total += len(piece)
            if total > self._most + OVERHEAD:
                raise too_large("bytes", self._most)
            self._decoder.receive_data(piece or None)
            event = self._decoder.next_event()
            while not isinstance(event, NeedData | Epilogue):
                self._take(event)
                event = self._decoder.next_event()
            if isinstance(event, Epilogue):
                return

    def _take(self, event: Event) -> None:
        if isinstance(event, File):
            if event.name != FIELD or self._name is not None:
                raise ChatError("invalid", details={FIELD: [f"One file is taken, in the form field `{FIELD}`."]})
            self._name, self._inside = event.filename or "", True
        elif isinstance(event, Field):
            self._inside = False  # what other systems' forms say besides
        elif isinstance(event, Data) and self._inside and event.data:
            self._size += len(event.data)
            if self._size > self._most:
                raise too_large("bytes", self._most)
            if len(self._head) < self._head_bytes:
                self._head += event.data[: self._head_bytes - len(self._head)]
            self._write(event.data)
