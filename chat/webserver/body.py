"""The body of an HTTP request, read from the connection before a deadline, however slowly it trickles."""

import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import pywsgi

from chat.webserver.head import RequestHead

__all__ = ["Body"]

BODY_SECONDS = 30.0  # for a whole body, beside its length at the pace below
BODY_PACE = 16_384  # bytes a second: a poor phone line
CHUNKED_BYTES = 10_485_760  # what a body of unknown length is reckoned as


class Body(pywsgi.Input):  # type: ignore[misc]
    """A request's body, `wsgi.input`. `on_error` is told before an OSError is raised: the connection is useless."""

    __slots__ = ("_deadline", "_on_error")

    def __init__(self, rfile: Any, sock: Any, head: RequestHead, on_error: Callable[[], None]):
        chunked = head.length == -1
        expects = head.headers.get("expect", "").lower() == "100-continue"
        length = None if chunked else head.length
        super().__init__(rfile, length, socket=sock if expects else None, chunked_input=chunked)
        self._on_error = on_error
        self._deadline = time.monotonic() + BODY_SECONDS + (CHUNKED_BYTES if chunked else length or 0) / BODY_PACE

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
        try:
            left = max(0.001, self._deadline - time.monotonic())
            with gevent.Timeout(left, TimeoutError("the body did not come in time")):
                data: bytes = read(length)
                return data
        except (OSError, ValueError) as error:
            self._on_error()
            raise OSError(f"request body: {error}") from error
