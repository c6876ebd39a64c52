"""Server-sent events: `GET /api/v1/stream`. The frames of the WebSocket, a `data:` line each; commands go over REST.

The connection is taken out of the web server like a WebSocket's. An `id:` line with the cursor comes with each `cursor`
event, so that a browser's EventSource resumes by itself with `Last-Event-ID`.
"""

import fcntl
import socket
import struct
import termios
import time
from typing import Any

import orjson
from flask import Flask, Response, current_app, request

from chat.errors import ChatError, CloseReason
from chat.frames import Event
from chat.origins import cors_headers, patterns_of
from chat.protocols import native
from chat.rest import describe
from chat.session import Session
from chat.transports.stream import Stream

__all__ = ["ServerSentEvents", "mount"]

HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\nConnection: close\r\n"
)
RETRY = b"retry: 1000\n\n"  # milliseconds until an EventSource comes back
COMMENT = b":\n\n"


class ServerSentEvents(Stream):
    """A client on `/api/v1/stream`."""

    __slots__ = ("_asked",)

    kind = "sse"
    provable = True

    def __init__(self, node: Any, sock: Any):
        super().__init__(node, sock)
        self._asked = False

    def received(self, data: bytes) -> None:
        """A client has nothing to say here."""

    def encode(self, event: Event) -> bytes:
        """Return an event's block; a cursor is also the stream's id."""
        block = b"data: %b\n\n" % native.encode_event(event)
        cursor = orjson.loads(event.raw)["cursor"] if event.name in ("cursor", "hello") else None
        return b"id: %b\n%b" % (cursor.encode(), block) if cursor else block

    def reply(self, number: Any, data: bytes) -> None:
        """No command comes this way."""

    def failure(self, number: Any, error: ChatError) -> None:
        """No command comes this way."""

    def ping(self) -> None:
        """Write a comment. `look` tells whether it came to the other end."""
        self._put(COMMENT)
        self._asked = True

    def look(self) -> None:
        """Take it as a sign of life that the other end has acknowledged everything up to the last comment."""
        if self._asked and not self.closing and not self.outbox_bytes and not _unacknowledged(self._sock):
            self._asked = False
            self.session.heard = time.monotonic()
            self.node.proved(self.session)

    def flush(self) -> None:
        """Give what was taken to the socket."""
        super().flush()
        if self._asked and not self.outbox_bytes:
            self.drained()

    def drained(self) -> None:
        """Have the next chunk of a backlog handed over: the kernel has room again, though nothing is proved yet."""
        if self.closing:
            self.end()
        elif self.session.taken is not None:
            self.session.taken()
            self.session.taken = None

    def last_words(self, reason: CloseReason) -> bytes:  # noqa: ARG002 (an interface)
        """Return what ends the stream: nothing, the connection's end says it."""
        return b""

    def close(self, reason: CloseReason, farewell: Event | None) -> None:
        """Say farewell and end the stream."""
        super().close(reason, farewell)
        if not self.outbox_bytes:
            self.end()


def _unacknowledged(sock: socket.socket) -> int:
    """Return the bytes given to the kernel that the other end has not acknowledged: those of a dead one stay."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(count)


def mount(app: Flask) -> None:
    """Add `GET /api/v1/stream` to the application."""
    patterns = patterns_of(app.config)

    @app.get("/api/v1/stream")
    @describe("Receive events as server-sent events.", public=True, errors=("not_authenticated", "bad_token"))
    def stream() -> Response:
        node = current_app.extensions["chat.node"]
        admitted = node.admit(request.headers, request.cookies, request.args)
        if admitted is None:
            raise ChatError("not_authenticated")
        cursor = request.headers.get("Last-Event-ID") or request.args.get("cursor", "")
        cors = cors_headers(request.headers.get("Origin"), request.headers.get("Host"), patterns)
        raw, _ = request.environ["chat.detach"]()
        carrier = ServerSentEvents(node, raw)
        carrier.session = Session(node.session_id(), carrier, time.monotonic())
        head = HEAD + "".join(f"{name}: {value}\r\n" for name, value in cors) + "\r\n"
        carrier.greet(head.encode() + RETRY)
        node.open(carrier.session, admitted, cursor, request.remote_addr or "")
        carrier.start(b"")
        return Response()
