"""A connection on which a client polls, taken out of the web server: who waits is a watcher, and no greenlet.

The next poll is known by its bytes: those of the one before, with the cursor that was told. With anything else the
connection goes back to the server, and with it what was read.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from math import inf
from typing import Any

import gevent
from gevent import get_hub
from gevent.pywsgi import format_date_time
from gevent.socket import wait_write

from chat.shortcut import HEADERS
from chat.transports.chain import Chain
from chat.transports.deadlines import Deadlines

__all__ = ["PollLine"]

READ = 1
READ_BYTES = 8_192  # a poll's head: a cursor of 4 kB and what browsers and proxies add
IDLE_SECONDS = 5.0  # after an answer, for the next poll; then the web server keeps the connection, with its own bounds
STALL_SECONDS = 30.0  # in which a long answer must move
CURSOR = b"cursor="  # what stands before the cursor in the first line of a plain poll; after it comes "&" or a space
HEAD = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS)


class PollLine:
    """One such connection, taken with the request that `environ` is of.

    `go_on(line)` begins the next poll (`wait_for`) or returns False; `body(chain)` makes an answer. `last`: the chain
    of the poll before, whose `told.cursor` came back.
    """

    __slots__ = (
        "_address", "_after", "_before", "_body", "_chain", "_deadlines", "_go_on", "_head", "_looked_at", "_reads",
        "_server", "_slot", "_sock", "_until", "last",
    )  # fmt: skip

    def __init__(
        self,
        environ: dict[str, Any],
        headers: list[tuple[str, str]],
        go_on: Callable[["PollLine"], bool],
        body: Callable[[Chain], bytes],
        deadlines: Deadlines,
    ):
        head: bytes = environ["chat.head"]
        self._server, self._address = environ["chat.server"], environ["chat.peer"]
        begins = head.index(CURSOR) + len(CURSOR)
        ends = min(place for place in (head.find(b"&", begins), head.find(b" ", begins)) if place >= 0)
        self._before, self._after = head[:begins], head[ends:]
        self._head = (HEAD + "".join(f"{name}: {value}\r\n" for name, value in headers)).encode()
        self._go_on, self._body = go_on, body
        self._deadlines = deadlines
        self._chain: Chain | None = None  # that a poll waits for
        self.last: Chain
        self._until = self._looked_at = inf  # the deadline, and when the deadlines look whether it is over
        self._slot = 0  # where they do
        self._sock: socket.socket
        self._sock, early = environ["chat.detach"]()
        self._reads: Any = None if early else get_hub().loop.io(self._sock.fileno(), READ)
        if self._reads is not None:
            self._reads.start(self._readable)

    @staticmethod
    def may_take(environ: dict[str, Any]) -> bool:
        """Tell whether this request's connection can be taken out of the web server."""
        lasting = environ["SERVER_PROTOCOL"] == "HTTP/1.1" and "close" not in environ.get("HTTP_CONNECTION", "").lower()
        bodyless = "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ
        return "chat.head" in environ and lasting and bodyless

    def wait_for(self, chain: Chain, seconds: float) -> None:
        """Answer once the chain has something, or the time is over."""
        self._chain = self.last = chain
        chain.join(self)
        if chain.ready or not seconds:
            self.set()
        else:
            self._end_in(seconds)

    def set(self) -> None:
        """Answer now."""
        chain = self._chain
        if chain is not None:
            chain.part(self)
            self._chain = None
            self._answer(chain.session.id, self._body(chain))

    def _answer(self, session_id: str, body: bytes) -> None:
        last = self._reads is None or self._server.draining
        head = b"%bDate: %b\r\nContent-Length: %d\r\nChat-Session: %b\r\n%b\r\n" % (
            self._head, _date(int(time.time())), len(body), session_id.encode(),
            b"Connection: close\r\n" if last else b"",
        )  # fmt: skip
        data = head + body
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return
        if sent < len(data):
            self._stop()
            gevent.spawn(self._send_rest, data[sent:], last)
        else:
            self._finish(last)

    def _send_rest(self, rest: bytes, last: bool) -> None:
        try:
            while rest:
                wait_write(self._sock.fileno(), timeout=STALL_SECONDS, timeout_exc=TimeoutError())
                rest = rest[self._sock.send(rest) :]
        except OSError:
            self._close()
        else:
            self._finish(last)

    def _finish(self, last: bool) -> None:
        if last:
            self._close()
            return
        if not self._reads.active:
            self._reads.start(self._readable)
        self._end_in(IDLE_SECONDS)

    def _readable(self) -> None:
        if self._chain is None:
            self._look()
        else:
            self._look_for_the_end()

    def _look(self) -> None:
        """See what comes after an answer: the next poll, the end, or something for the web server."""
        data = self._read(0)
        if data is None:
            return
        if not data:
            self._close()
        elif data != self._before + self.last.told.cursor.encode() + self._after or not self._go_on(self):
            self._give_back(data)

    def _look_for_the_end(self) -> None:
        """Notice a client that hangs up while its poll waits; what it sends behind the poll has to wait, too."""
        data = self._read(socket.MSG_PEEK)
        if data is None:
            return
        if data:
            self._reads.stop()
        elif self._chain is not None:
            self._chain.part(self)
            self._close()

    def _read(self, flags: int) -> bytes | None:
        """Return what there is to read, nothing at the end; None if there was nothing to read after all."""
        try:
            return self._sock.recv(READ_BYTES, flags)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _give_back(self, early: bytes = b"") -> None:
        self._stop()
        self._reads.close()
        self._server.resume(self._sock, self._address, early)

    def _end_in(self, seconds: float) -> None:
        """End what is going on in so many seconds. Most is over before; then the next thing puts the deadline off."""
        now = time.monotonic()
        self._until = now + seconds
        if self._until < self._looked_at:
            self._deadlines.cancel(self, self._slot)
            self._look_in(seconds, now)

    def _look_in(self, seconds: float, now: float) -> None:
        self._looked_at = now + seconds
        self._slot = self._deadlines.set(self, seconds, self._over)

    def _over(self) -> None:
        """Look whether the deadline was put off; if not, answer the poll that waits, or give the connection back."""
        now = time.monotonic()
        if now < self._until:
            self._look_in(self._until - now, now)
            return
        self._looked_at = inf
        if self._chain is not None:
            self.set()
        else:
            self._give_back()

    def _stop(self) -> None:
        if self._reads is not None:
            self._reads.stop()
        self._deadlines.cancel(self, self._slot)
        self._looked_at = inf

    def _close(self) -> None:
        self._stop()
        if self._reads is not None:
            self._reads.close()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()


@lru_cache(maxsize=1)  # of this second
def _date(now: int) -> bytes:
    return format_date_time(now)  # type: ignore[no-any-return]
