"""What a wire language must offer the generator, and what it makes of what it reads."""

from typing import Protocol

__all__ = [
    "ACK", "ANSWER", "DELIVERY", "DIGITS", "FILLING", "MARK", "OTHER", "REFUSED", "Reading", "Wire", "get_request",
    "marked_number",
]  # fmt: skip

BODY_BYTES = 200
MARK = b"#!"  # before the ten digits of a message's number in its content
DIGITS = 10
FILLING = b"x" * (BODY_BYTES - len(MARK) - DIGITS)

ACK, DELIVERY, REFUSED, ANSWER, OTHER = range(5)


# One payload understood: (kind, number, payload). ACK, REFUSED: the number of the command. DELIVERY: that of the
# message. ANSWER: the server wants `payload` back, to see that the client lives. OTHER: the rest, for who knows it.
# A plain tuple, since a named one costs a third of all the reading.
Reading = tuple[int, int, bytes]


class Wire(Protocol):
    """A wire language: builds payloads, reads payloads, and knows when a connection is ready for use."""

    def upgrade(self, address: str, token: str) -> bytes:
        """The HTTP request that opens the WebSocket."""
        ...

    def greet(self, payload: bytes, token: str) -> bytes | None:
        """What to send in answer to a payload before the connection is ready; None for nothing."""
        ...

    def is_ready(self, payload: bytes) -> bool:
        """Whether with this payload the server has let the client in."""
        ...

    def send(self, number: int, to: bytes, run: bytes) -> bytes:
        """A message with this number to a user, or a group if `to` begins with `group:`; `run` sets localIds apart."""
        ...

    def watch(self, number: int, users: list[str]) -> bytes | None:
        """A command that asks for the presence of these users; None where private peers are told unasked."""
        ...

    def create_group(self, number: int, name: str, members: list[str]) -> bytes:
        """A command that makes a group."""
        ...

    def read(self, payload: bytes) -> Reading:
        """Understand one payload."""
        ...

    def created_id(self, payload: bytes) -> str:
        """The id in the answer to `create_group`."""
        ...

    def presence(self, payload: bytes) -> tuple[str, bool] | None:
        """The user and whether they are online, if this payload is a presence event."""
        ...

    def ask_unread(self, address: str, token: str) -> bytes:
        """The HTTP request for how much the token's user has not read."""
        ...

    def unread(self, body: bytes) -> tuple[int, int]:
        """How many conversations the answer names, and how many messages are unread in all."""
        ...

    def poll(self, address: str, token: str, stand: bytes) -> bytes:
        """The next HTTP request of a client who polls and stands there (nothing: at the beginning)."""
        ...

    def polled(self, body: bytes, stand: bytes) -> tuple[bytes, bool, list[Reading]]:
        """What its answer says: where the client stands now, whether the server has let it in, what it read."""
        ...


def get_request(address: str, path: str, token: str = "") -> bytes:
    """A GET over HTTP, with a token if there is one."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n".encode()


def marked_number(payload: bytes) -> int:
    """The number in a payload that has the content of a message somewhere. Raises ValueError when there is none."""
    at = payload.index(MARK) + len(MARK)
    return int(payload[at : at + DIGITS])
