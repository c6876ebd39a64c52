"""Many WebSocket clients on raw sockets and one epoll: opens them, reads, sends a client's frames at once."""

import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from bench.generator.frames import CLOSE, PING, PONG, TEXT, client_frame, close_frame, split
from bench.generator.tokens import mint
from bench.generator.wire import ANSWER, Reading, Wire

__all__ = ["Client", "Crowd", "LostError"]

READ_BYTES = 65_536
HANDSHAKE_SECONDS = 30.0
EVENTS = 1_024  # sockets looked at in one pass, so that what they cause goes out in between


class LostError(Exception):
    """The server refused a client or let it go."""


class Client:
    """One connection. `last` and `missing` belong to who checks the order of what it receives."""

    __slots__ = ("began", "fd", "last", "missing", "out", "ready_at", "rest", "sock", "token", "upgraded", "user")

    fd: int
    sock: socket.socket

    def __init__(self, user: str, token: str) -> None:
        self.user = user
        self.token = token
        self.rest = b""
        self.out: list[bytes] = []
        self.upgraded = False
        self.began = self.ready_at = 0.0
        self.last = -1
        self.missing: set[int] = set()


class Crowd:
    """The clients of one server. `gone` are those that the server closed; a row decides what that means to it."""

    def __init__(self, wire: Wire, port: int, secret: str) -> None:
        self.wire = wire
        self.address = ("127.0.0.1", port)
        self.secret = secret
        self.gone: list[tuple[Client, str]] = []
        self.by_fd: dict[int, Client] = {}
        self._epoll = select.epoll()
        self._unsent: set[Client] = set()
        self._blocked: set[Client] = set()
        self._memo: tuple[bytes, list[Reading]] = (b"", [])

    def fileno(self) -> int:
        """Readable when a client has something to read."""
        return self._epoll.fileno()

    # --- opening and closing

    def make(self, users: Iterable[str]) -> list[Client]:
        """Clients with tokens of their own, not connected yet."""
        return [Client(user, mint(self.secret, user)) for user in users]

    def open(self, clients: Sequence[Client], in_flight: int = 64) -> None:
        """Connect them, so many handshakes at a time, until the server has let every one in. Raises LostError."""
        waiting = deque(clients)
        under_way: set[Client] = set()
        deadline = time.perf_counter() + HANDSHAKE_SECONDS + len(clients) / 100
        while waiting or under_way:
            while waiting and len(under_way) < in_flight:
                under_way.add(self.connect(waiting.popleft()))
            for _ in self.receive(1.0):
                pass
            self.flush()
            under_way = {client for client in under_way if not client.ready_at}
            if self.gone or time.perf_counter() > deadline:
                raise LostError(f"{len(under_way)} handshakes unfinished; {[why for _, why in self.gone[:3]]}")

    def connect(self, client: Client) -> Client:
        """Begin one connection; `ready_at` tells when it is done."""
        client.began, client.ready_at, client.upgraded, client.rest = time.perf_counter(), 0.0, False, b""
        client.sock = socket.create_connection(self.address)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sock.setblocking(False)
        client.fd = client.sock.fileno()
        self.by_fd[client.fd] = client
        self._epoll.register(client.fd, select.EPOLLIN)
        client.out.append(self.wire.upgrade(f"127.0.0.1:{self.address[1]}", client.token))
        self._unsent.add(client)
        self.flush()
        return client

    def leave(self, client: Client) -> None:
        """A clean leave: close frame, then the end of the connection."""
        client.sock.send(close_frame())
        self.cut(client)

    def cut(self, client: Client) -> None:
        """End the connection without a word, as the kernel does for a killed client."""
        self.fall_silent(client)
        client.sock.close()

    def fall_silent(self, client: Client) -> None:
        """Keep the socket but never read or answer again, as a client does that lost its network."""
        self._epoll.unregister(client.fd)
        del self.by_fd[client.fd]
        client.out.clear()
        self._unsent.discard(client)
        self._blocked.discard(client)

    # --- sending

    def write(self, client: Client, payload: bytes) -> None:
        """Queue a text payload; `flush` sends it."""
        client.out.append(client_frame(payload))
        self._unsent.add(client)

    def flush(self) -> None:
        """Send what is queued, each client's in one call; what its socket does not take goes when it can."""
        unsent, self._unsent = self._unsent, set()
        for client in unsent:
            data = b"".join(client.out) if len(client.out) > 1 else client.out[0]
            client.out.clear()
            try:
                sent = client.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # it ended; the reading side tells
                continue
            if sent < len(data):
                client.out.append(data[sent:])
                self._blocked.add(client)
                self._epoll.modify(client.fd, select.EPOLLIN | select.EPOLLOUT)

    def is_blocked(self, client: Client) -> bool:
        """Whether its socket has taken less than it was given."""
        return client in self._blocked

    def _unblock(self, client: Client) -> None:
        self._blocked.discard(client)
        self._epoll.modify(client.fd, select.EPOLLIN)
        self._unsent.add(client)

    # --- receiving

    def receive(self, timeout: float) -> Iterator[tuple[Client, list[Reading], float]]:
        """One pass over the sockets that have something: the client, what it read, and when (perf_counter)."""
        for fd, event in self._epoll.poll(timeout, EVENTS):
            client = self.by_fd.get(fd)
            if client is None:  # ended by what this pass caused
                continue
            if event & select.EPOLLOUT:
                self._unblock(client)
            if event & ~select.EPOLLOUT:
                readings = self._read(client)
                if readings:
                    yield client, readings, time.perf_counter()

    def _read(self, client: Client) -> list[Reading]:
        try:
            data = client.sock.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            return self._end(client, str(error))
        if not data:
            return self._end(client, "closed without a close frame")
        if client.rest:
            data = client.rest + data
            client.rest = b""
        elif data == self._memo[0]:  # a group's members all get the same bytes
            return self._memo[1]
        return self._understand(client, data) if client.ready_at else self._shake(client, data)

    def _understand(self, client: Client, data: bytes) -> list[Reading]:
        frames, client.rest = split(data)
        read = self.wire.read
        readings = [read(payload) for opcode, payload in frames if opcode == TEXT]
        answers = [payload for kind, _, payload in readings if kind == ANSWER]
        for payload in answers:
            self.write(client, payload)
        if len(readings) < len(frames):
            self._control(client, frames)
        elif not answers and not client.rest:
            self._memo = (data, readings)
        return readings

    def _control(self, client: Client, frames: Iterable[tuple[int, bytes]]) -> None:
        for opcode, payload in frames:
            if opcode == PING:
                client.out.append(client_frame(payload, PONG))
                self._unsent.add(client)
            elif opcode == CLOSE:
                self._end(client, f"close {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")

    def _shake(self, client: Client, data: bytes) -> list[Reading]:
        if not client.upgraded:
            head, blank, data = data.partition(b"\r\n\r\n")
            if not blank:
                client.rest = head
                return []
            if b" 101 " not in head[:20]:
                return self._end(client, head.decode(errors="replace")[:200])
            client.upgraded = True
        frames, client.rest = split(data)
        for index, (_, payload) in enumerate(frames):
            if self.wire.is_ready(payload):
                return self._begin(client, frames[index + 1 :])
            greeting = self.wire.greet(payload, client.token)
            if greeting is not None:
                self.write(client, greeting)
        return []

    def _begin(self, client: Client, frames: list[tuple[int, bytes]]) -> list[Reading]:
        client.ready_at = time.perf_counter()
        return [self.wire.read(payload) for opcode, payload in frames if opcode == TEXT]

    def _end(self, client: Client, why: str) -> list[Reading]:
        if client.fd in self.by_fd:
            self.cut(client)
            self.gone.append((client, f"{client.user}: {why}"))
        return []
