"""A WebSocket client that can do wrong: raw frames, split as one likes, and every octet of the answers visible.

Its codec is its own, so that a mistake in the server's cannot hide behind the same one here.
"""

import json
import os
import socket
import struct
import time
from typing import Any
from urllib.parse import urlsplit

from tests.clients.person import Person

__all__ = ["Wire", "masked", "upgrade"]

PATIENCE = 20.0  # seconds
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def masked(payload: bytes | str, opcode: int = TEXT, first: int = 0x80) -> bytes:
    """Return a client's frame. `first`: FIN and reserved bits."""
    data = payload.encode() if isinstance(payload, str) else payload
    mask = os.urandom(4)
    if len(data) < 126:
        head = struct.pack("!BB", first | opcode, 0x80 | len(data))
    elif len(data) < 65_536:
        head = struct.pack("!BBH", first | opcode, 0xFE, len(data))
    else:
        head = struct.pack("!BBQ", first | opcode, 0xFF, len(data))
    return head + mask + bytes(octet ^ mask[place & 3] for place, octet in enumerate(data))


def upgrade(url: str, path: str = "/ws", token: str = "", **headers: str) -> bytes:
    """Return the request of a handshake. Header names with `_` for `-`."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


opened: list["Wire"] = []  # for whoever closes what a test left open


class Wire:
    """One connection. `pongs`: pings are answered while something is read. `buffer`: bytes of the receive buffer."""

    def __init__(
        self, url: str, token: str = "", *, path: str = "/ws", early: bytes = b"", buffer: int = 0, **headers: str
    ):
        self.url = url
        self.pongs = True
        self.deadline: float | None = None  # monotonic time after which nothing more is waited for
        self.pings: list[bytes] = []
        self.seen: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._number = 0
        self._rest = b""
        opened.append(self)
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(PATIENCE)
        where = urlsplit(url)
        self.sock.connect((where.hostname, where.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(upgrade(url, path, token, **headers) + early)
        self.head = self._head()
        self.status = int(self.head.split(" ", 2)[1])

    @classmethod
    def of(cls, person: Person, **more: Any) -> "Wire":
        """Open a session of a person's and wait for its hello."""
        wire = cls(more.pop("url", person.url), more.pop("token", person.token), **more)
        wire.event("hello")
        return wire

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def body(self) -> Any:
        """The JSON body of an answer that was no upgrade."""
        length = next(
            int(line.split(":")[1]) for line in self.head.split("\r\n") if line.lower().startswith("content-length")
        )
        while len(self._rest) < length:
            self._more()
        return json.loads(self._rest[:length])

    def raw(self, data: bytes) -> None:
        """Send octets as they are."""
        self.sock.sendall(data)

    def post(self, op: str, **data: Any) -> int:
        """Send a command and return its number."""
        self._number += 1
        self.raw(masked(json.dumps({"op": op, "id": self._number, "data": data})))
        return self._number

    def ask(self, op: str, **data: Any) -> dict[str, Any]:
        """Send a command and return the frame that answers it."""
        return self.answer(self.post(op, **data))

    def send(self, to: Person | str, content: str, **more: Any) -> dict[str, Any]:
        """Send a message and return its data."""
        place = {"toUser": to.id} if isinstance(to, Person) else {"conversationId": to}
        data: dict[str, Any] = self.ask("message.send", content=content, **place, **more)["data"]
        return data

    def answer(self, number: Any) -> dict[str, Any]:
        """Return the frame that answers a command."""
        return self.until(lambda frame: "re" in frame and frame["re"] == number)

    def event(self, name: str) -> dict[str, Any]:
        """Return the data of the next event of this name."""
        data: dict[str, Any] = self.until(lambda frame: frame.get("event") == name)["data"]
        return data

    def until(self, test: Any) -> dict[str, Any]:
        """Read until a frame passes the test, and return it."""
        while True:
            opcode, payload = self.frame()
            assert opcode == TEXT, (opcode, payload)
            frame: dict[str, Any] = json.loads(payload)
            self.seen.append(frame)
            if test(frame):
                return frame

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame but pings."""
        while True:
            opcode, payload = self._frame()
            if opcode != PING:
                return opcode, payload
            self.pings.append(payload)
            if self.pongs:
                self.raw(masked(payload, PONG))

    def end(self) -> int | None:
        """Read to the end of the stream; return the number of the close frame, None if there was none."""
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    self.close_code = int.from_bytes(payload[:2], "big") or 1005
                    self.raw(masked(payload[:2], CLOSE))
                else:
                    self.seen.append(json.loads(payload))
        except (EOFError, OSError):
            return self.close_code

    def close(self) -> None:
        """Close as a browser does."""
        self.raw(masked(struct.pack("!H", 1000), CLOSE))
        self.end()
        self.sock.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the data of the events of this name that were read."""
        return [frame["data"] for frame in self.seen if frame.get("event") == name]

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        assert first & 0x80, "the server sends whole messages"
        assert not first & 0x70, "no extension was agreed on"
        assert not second & 0x80, "a server does not mask"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        return first & 0x0F, self._take(size)

    def _head(self) -> str:
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head.decode()

    def _take(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._more()
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def _more(self) -> None:
        if self.deadline is not None:
            self.sock.settimeout(max(0.001, self.deadline - time.monotonic()))
        data = self.sock.recv(65_536)
        if not data:
            raise EOFError
        self._rest += data


def until_quiet(wire: Wire, seconds: float) -> None:
    """Read what comes for some seconds."""
    wire.deadline = time.monotonic() + seconds
    try:
        while True:
            wire.seen.append(json.loads(wire.frame()[1]))
    except TimeoutError:
        wire.deadline = None
        wire.sock.settimeout(PATIENCE)
