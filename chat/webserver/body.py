"""The body of an HTTP request, read from the connection no slower than at a pace, however it trickles."""

import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import pywsgi

from chat.pace import Pace
from chat.webserver.head import RequestHead

__all__ = ["Body"]

CHUNKED_BYTES = 10_485_760  # what a body of unknown length is reckoned as


class Body(pywsgi.Input):  # type: ignore[misc]
    """A request's body, `wsgi.input`. `on_error` is told before an OSError is raised: the connection is useless."""

    __slots__ = ("_on_error", "_pace")

    def __init__(self, rfile: Any, sock: Any, head: RequestHead, on_error: Callable[[], None]):
        chunked = head.length == -1
        expects = head.headers.get("expect", "").lower() == "100-continue"
        length = None if chunked else head.length
        super().__init__(rfile, length, socket=sock if expects else None, chunked_input=chunked)
        self._on_error = on_error
        self._pace = Pace()

    @property
    def left(self) -> int:
        """Bytes that nobody has read; of a chunked body any number is too many."""
        if self.chunked_input:
            return 0 if self.chunk_length == 0 else sys.maxsize
        left: int = (self.content_length or 0) - self.position
        return sys.maxsize if left and self.socket is not None else left  # the client still waits for `100 Continue`

    def read(self, length: int | None = None) -> bytes:
        """Read up to `length` bytes, or all."""
        return self._in_time(super().read, length)

    def readline(self, size: int | None = None) -> bytes:
        """Read a line of up to `size` bytes."""
        return self._in_time(super().readline, size)

    def _in_time(self, read: Any, length: int | None) -> bytes:
        expected = CHUNKED_BYTES if self.chunked_input else (self.content_length or 0) - self.position
        begun = time.monotonic()
        try:
            wait = self._pace.seconds_for(expected if length is None else min(length, expected))
            with gevent.Timeout(wait, TimeoutError("the body did not come in time")):
                data: bytes = read(length)
        except (OSError, ValueError) as error:
            self._on_error()
            raise OSError(f"request body: {error}") from error
        self._pace.note(len(data), time.monotonic() - begun)
        return data
