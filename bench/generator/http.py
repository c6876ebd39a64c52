"""Many HTTP clients on raw sockets and one epoll: each has one connection, kept alive, and one request on its way."""

import select
import socket
import time
from collections.abc import Iterator

from bench.generator.crowd import LostError

__all__ = ["Asker", "HttpCrowd"]

READ_BYTES = 262_144
LENGTH = b"content-length: "
GOOD = (b"HTTP/1.1 200 ",)
BUSY = (*GOOD, b"HTTP/1.1 503 ")


class Asker:
    """One client. `last` and `missing` belong to who checks the order of what it receives, `stand` to its wire."""

    __slots__ = ("asked_at", "due", "fd", "last", "missing", "ready_at", "rest", "sock", "stand", "token", "user")

    fd: int
    sock: socket.socket

    def __init__(self, user: str, token: str) -> None:
        self.user, self.token = user, token
        self.rest = b""
        self.due = 0  # bytes of the answer under way; 0 until its head is known
        self.stand = b""
        self.asked_at = self.ready_at = 0.0
        self.last = -1
        self.missing: set[int] = set()


class HttpCrowd:
    """The clients of one server. Whoever ends a connection or answers with a refusal ends the row.

    `patient`: who was not let in yet (no `ready_at`) may be told to come again; that is an answer without a body.
    """

    def __init__(self, port: int, *, patient: bool = False) -> None:
        self._patient = patient
        self.address = ("127.0.0.1", port)
        self.name = f"127.0.0.1:{port}"
        self._by_fd: dict[int, Asker] = {}
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """Readable when a client has something to read."""
        return self._epoll.fileno()

    def connect(self, asker: Asker) -> None:
        """Open a client's connection."""
        asker.sock = socket.create_connection(self.address)
        asker.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asker.fd = asker.sock.fileno()
        self._by_fd[asker.fd] = asker
        self._epoll.register(asker.fd, select.EPOLLIN)

    def ask(self, asker: Asker, request: bytes) -> None:
        """Send a request; it fits into the socket's buffer, for the one before was answered."""
        asker.asked_at = time.perf_counter()
        asker.sock.sendall(request)

    def receive(self, timeout: float) -> Iterator[tuple[Asker, bytes, float]]:
        """One pass over the sockets that have something: the client, its answer's body, when. Raises LostError."""
        for fd, _ in self._epoll.poll(timeout, 1_024):
            body = self._read(self._by_fd[fd])
            if body is not None:
                yield self._by_fd[fd], body, time.perf_counter()

    def _read(self, asker: Asker) -> bytes | None:
        data = asker.sock.recv(READ_BYTES)
        if not data:
            raise LostError(f"{asker.user}: the server hung up")
        data = asker.rest + data if asker.rest else data
        if not asker.due:
            asker.due = _length(data, BUSY if self._patient and not asker.ready_at else GOOD)
        if not asker.due or len(data) < asker.due:
            asker.rest = data
            return None
        body = data[data.index(b"\r\n\r\n") + 4 : asker.due] if data.startswith(GOOD) else b""
        asker.rest, asker.due = b"", 0
        return body


def _length(data: bytes, statuses: tuple[bytes, ...]) -> int:
    """The length of a whole answer, 0 while its head is not complete. Raises LostError for a refusal."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    if not data.startswith(statuses):
        raise LostError(data[:300].decode(errors="replace"))
    head = data[:end].lower() + b"\r\n"
    at = head.find(LENGTH)
    if at < 0:
        raise LostError(f"an answer without a length: {head!r}")
    return end + 4 + int(head[at + len(LENGTH) : head.index(b"\r\n", at)])
