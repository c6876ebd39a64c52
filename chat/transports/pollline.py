"""A connection on which a client polls, taken out of the web server: who waits is a watcher, and no greenlet.

A poll with the very same headers as the one before is answered here, for those were understood once. With anything else
the connection goes back to the server, and with it what was read.
"""

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
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
# The start of a request for the next poll. Other spellings of it take the long way.
POLL = re.compile(rb"GET /api/v1/poll\?([A-Za-z0-9_=&-]+) HTTP/1\.1")
HEAD = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS)


class PollLine:
    """One such connection, taken with the request that `environ` is of.

    `go_on(line, query)` begins the next poll (`wait_for`) or returns False; `body(chain)` makes an answer. `last`: the
    chain of the poll before.
    """

    __slots__ = (
        "_address", "_body", "_chain", "_deadlines", "_due", "_go_on", "_head", "_reads", "_rest", "_server", "_sock",
        "last",
    )  # fmt: skip

    def __init__(
        self,
        environ: dict[str, Any],
        headers: list[tuple[str, str]],
        go_on: Callable[["PollLine", str], bool],
        body: Callable[[Chain], bytes],
        deadlines: Deadlines,
    ):
        head: bytes = environ["chat.head"]
        self._server, self._address = environ["chat.server"], environ["chat.peer"]
        self._rest = head[head.index(b"\r\n") :]
        self._head = (HEAD + "".join(f"{name}: {value}\r\n" for name, value in headers)).encode()
        self._go_on, self._body = go_on, body
        self._deadlines = deadlines
        self._chain: Chain | None = None  # that a poll waits for
        self.last: Chain | None = None
        self._due = 0  # where the deadline stands
        self._sock: socket.socket
        self._sock, early = environ["chat.detach"]()
        self._reads: Any = None if early else get_hub().loop.io(self._sock.fileno(), READ)

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
            return
        if self._reads is not None:
            self._reads.start(self._look_for_the_end)
        self._start(seconds, self.set)

    def set(self) -> None:
        """Answer now."""
        chain = self._chain
        if chain is not None:
            self._leave()
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
        self._reads.start(self._look)
        self._start(IDLE_SECONDS, self._give_back)

    def _look(self) -> None:
        """See what comes after an answer: the next poll, the end, or something for the web server."""
        data = self._read(0)
        if data is None:
            return
        self._stop()
        if not data:
            self._close()
            return
        poll = POLL.fullmatch(data, 0, max(0, len(data) - len(self._rest))) if data.endswith(self._rest) else None
        if poll is None or not self._go_on(self, poll[1].decode()):
            self._give_back(data)

    def _look_for_the_end(self) -> None:
        """Notice a client that hangs up while its poll waits; what it sends behind the poll has to wait, too."""
        data = self._read(socket.MSG_PEEK)
        if data is None:
            return
        self._reads.stop()
        if not data:
            self._leave()
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

    def _leave(self) -> None:
        self._stop()
        if self._chain is not None:
            self._chain.part(self)
            self._chain = None

    def _start(self, seconds: float, then: Callable[[], None]) -> None:
        self._due = self._deadlines.set(self, seconds, then)

    def _stop(self) -> None:
        if self._reads is not None:
            self._reads.stop()
        self._deadlines.cancel(self, self._due)

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
