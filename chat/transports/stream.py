"""What WebSocket and SSE share: a detached socket that is written to without waiting, and a bounded outbox behind it.

While the outbox is empty the bytes of a flush go to the socket in one call; the first short write starts a watcher that
ends when the outbox is empty. Past the bound the client is cut off: it can resume.
"""

import logging
import socket
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent import get_hub

from chat.errors import ChatError, CloseReason
from chat.frames import Event
from chat.outbox import Outbox
from chat.session import UNANSWERED, Session, State

__all__ = ["Stream"]

logger = logging.getLogger(__name__)
READ = 1
WRITE = 2
READ_BYTES = 16_384
WRITE_BYTES = 65_536  # given to the kernel at once from an outbox
FAREWELL_SECONDS = 5.0  # for the last frames to reach the client
USER_TIMEOUT_MS = 30_000  # unacknowledged bytes end the connection after this: a dead peer's kernel buffer is freed


class Stream:
    """A carrier over a raw, non-blocking socket. Subclasses say how an event, an answer and a farewell look."""

    __slots__ = ("_outbox", "_owed", "_pending", "_reads", "_sock", "_writes", "closing", "node", "session")

    kind = "stream"

    def __init__(self, node: Any, sock: socket.socket):
        self.node = node
        self.session: Session
        self._sock = sock
        self._pending: list[bytes] | None = None
        self._outbox: Outbox | None = None
        self._owed = 0  # bytes of replies taken since everything was last sent: asked for, so no sign of a slow client
        self._writes: Any = None
        self.closing = False
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS
        ) if sock.family != socket.AF_UNIX else None
        self._reads = get_hub().loop.io(sock.fileno(), READ)

    def greet(self, head: bytes) -> None:
        """Answer the request that the stream began with."""
        self._put(head)

    def start(self, early: bytes) -> None:
        """Begin to read; `early` came with the upgrade already."""
        self._reads.start(self._readable)
        if early:
            self._take(early)

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""
        raise NotImplementedError

    def event(self, event: Event) -> None:
        """Take an event for the client; what is not logged is dropped first when the client is slow."""
        outbox = self._outbox
        if outbox is None or event.logged or event.change or outbox.size < self.node.config["OUTBOX_BYTES"] // 4:
            self._put(event.encodings.get(self.kind) or event.encoded(self.kind, self.encode))

    def encode(self, event: Event) -> bytes:
        """Return an event as it goes over this carrier."""
        raise NotImplementedError

    def reply(self, number: Any, data: bytes) -> None:
        """Take the answer to a command."""
        raise NotImplementedError

    def failure(self, number: Any, error: ChatError) -> None:
        """Take the refusal of a command."""
        raise NotImplementedError

    def last_words(self, reason: CloseReason) -> bytes:
        """Return what ends the stream after the farewell."""
        raise NotImplementedError

    def live(self) -> None:
        """The session is live."""

    def look(self) -> None:
        """The client answers pings itself."""

    def drained(self) -> None:
        """The kernel has taken everything."""

    def pause(self) -> None:
        """Read no further commands: the kernel's buffer fills, and the client has to wait."""
        self._reads.stop()

    def resume(self) -> None:
        """Read commands again, unless the client still has to read what it asked for."""
        if not self.closing and not self._reads.active and self.outbox_bytes <= self.node.config["OUTBOX_BYTES"]:
            self._reads.start(self._readable)

    def flush(self) -> None:
        """Give what was taken to the socket, or to the outbox behind it."""
        pending, self._pending = self._pending, None
        if pending is None or self._sock.fileno() < 0:
            return
        if self._outbox is None:
            self._send(pending)
        else:
            self._queue(self._outbox, pending)

    def close(self, reason: CloseReason, farewell: Event | None) -> None:
        """Say farewell and end the stream; whoever does not take that in 5 s is not waited for."""
        if self.closing:
            return
        self.closing = True
        if reason is CloseReason.SLOW and self._outbox is not None:
            self.node.hub.backlog -= self._outbox.cut()
        if farewell is not None:
            self._put(self.encode(farewell))
        self._put(self.last_words(reason))
        self.flush()
        self.resume_reading_to_the_end()
        gevent.spawn_later(FAREWELL_SECONDS, self.end)

    def say_no_more(self) -> None:
        """End our half of the stream, if all was sent, for a client whose own farewell cannot be understood."""
        self.flush()
        if self._outbox is None and self._sock.fileno() >= 0:
            with suppress(OSError):  # the client was faster
                self._sock.shutdown(socket.SHUT_WR)

    def resume_reading_to_the_end(self) -> None:
        """Read on, so that the client's own end is seen."""
        if self._sock.fileno() >= 0 and not self._reads.active:
            self._reads.start(self._readable)

    def end(self) -> None:
        """Let go of the socket: shut down first, so that nothing behind it can be taken for another request."""
        self.closing = True
        self._reads.stop()
        if self._writes is not None:
            self._writes.stop()
        if self._outbox is not None:
            self.node.hub.backlog -= self._outbox.size
            self.node.hub.slow.discard(self)
            self._outbox = None
        if self._sock.fileno() >= 0:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._sock.close()  # the client was faster
            else:
                self._sock.close()
        self._reads.close()
        if self._writes is not None:
            self._writes.close()

    @property
    def outbox_bytes(self) -> int:
        """Bytes that the socket did not take yet."""
        return self._outbox.size if self._outbox is not None else 0

    def _put(self, data: bytes) -> None:
        if self._pending is None:
            self._pending = [data]
            self.node.hub.dirty.append(self)
        else:
            self._pending.append(data)

    def _send(self, pending: list[bytes]) -> None:
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        try:
            taken = self._sock.send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._lose()
            return
        if taken == len(data):
            self._owed = 0
        else:
            outbox = self._outbox = Outbox()
            for chunk in pending:
                outbox.add(chunk)
            outbox.sent(taken)
            self._watch(outbox)
            self._bound(outbox)

    def _queue(self, outbox: Outbox, pending: list[bytes]) -> None:
        before = outbox.size
        for chunk in pending:
            outbox.add(chunk)
        self.node.hub.backlog += outbox.size - before
        self._bound(outbox)

    def _watch(self, outbox: Outbox) -> None:
        hub = self.node.hub
        hub.backlog += outbox.size
        hub.slow.add(self)
        if self._writes is None:
            self._writes = get_hub().loop.io(self._sock.fileno(), WRITE)
        self._writes.start(self._writable)

    def _bound(self, outbox: Outbox) -> None:
        most = self.node.config["OUTBOX_BYTES"]
        if outbox.size - self._owed > most and not self.closing:
            self.node.end(self.session, CloseReason.SLOW)
        elif outbox.size > most and not self.closing:
            self._reads.stop()  # whoever asks for more than they read gets nothing more to ask for
        elif self.node.hub.backlog > self.node.config["OUTBOX_TOTAL_BYTES"]:
            longest = max(self.node.hub.slow, key=lambda carrier: carrier.outbox_bytes)
            self.node.end(longest.session, CloseReason.SLOW)

    def _writable(self) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        try:
            taken = self._sock.send(outbox.peek(WRITE_BYTES))
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        outbox.sent(taken)
        self.node.hub.backlog -= taken
        if not outbox.size:
            self._writes.stop()
            self.node.hub.slow.discard(self)
            self._outbox = None
            self._owed = 0
            if self.session.unanswered < UNANSWERED:
                self.resume()
            self.drained()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
        elif not self.closing or self.kind == "websocket":
            self.session.heard = time.monotonic()
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Have bytes understood; a fault of ours ends the session: gevent would silently watch the socket no more."""
        try:
            self.received(data)
        except Exception:
            logger.exception("what a client sent failed on our side")
            self.node.end(self.session, CloseReason.INTERNAL)
        self.node.hub.flush()

    def _lose(self) -> None:
        """The client is gone without a word."""
        self.end()
        if self.session.state is not State.CLOSED:
            self.node.end(self.session, CloseReason.LOST)
