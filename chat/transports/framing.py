"""WebSocket frames (RFC 6455), as far as a server needs them: no extensions, text and control frames. Pure."""

import base64
import hashlib

from chat.errors import CloseReason

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "FrameError", "FrameReader", "accept_key", "close_frame", "frame"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_BYTES = 125
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FrameError(Exception):
    """The peer broke the rules; the connection ends for this reason, after the messages that were complete `before`."""

    def __init__(self, reason: CloseReason):
        self.reason = reason
        self.before: list[tuple[int, bytes]] = []
        super().__init__(reason.code)


class FrameReader:
    """Turns a client's bytes into messages. `most` is in bytes and bounds a message with all its fragments."""

    __slots__ = ("_fragments", "_most", "_rest", "_size")

    def __init__(self, most: int):
        self._most = most
        self._rest = b""
        self._fragments: list[bytes] | None = None
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the (opcode, payload) of the messages that are complete now. Raises FrameError."""
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, bytes]] = []
        try:
            self._rest = data[self._read(data, found) :]
        except FrameError as error:
            error.before = found
            raise
        return found

    def _read(self, data: bytes, found: list[tuple[int, bytes]]) -> int:
        """Add the messages that are complete to `found`; return the place behind the last whole frame."""
        place = 0
        while (head := self._head(data, place)) is not None:
            opcode, fin, start, place = head
            payload = _unmasked(data, start, place)
            if opcode == TEXT and fin and self._fragments is None:
                found.append((TEXT, payload))
            elif opcode >= CLOSE:
                found.append((opcode, payload))
            else:
                whole = self._joined(opcode, fin, payload)
                if whole is not None:
                    found.append((TEXT, whole))
        return place

    def _head(self, data: bytes, place: int) -> tuple[int, bool, int, int] | None:
        """Return the opcode, whether it is the last fragment, and where the payload of the frame at `place` lies.

        None while it is not all there.
        """
        if len(data) - place < 2:
            return None
        first, second = data[place], data[place + 1]
        if first & 0x70 or not second & 0x80:
            raise FrameError(CloseReason.PROTOCOL)
        opcode, fin, length = first & 0x0F, first >= 0x80, second & 0x7F
        start = place + 6
        if length > CONTROL_BYTES:
            extra = 2 if length == 126 else 8
            start += extra
            if len(data) < place + 2 + extra:
                return None
            length = int.from_bytes(data[place + 2 : place + 2 + extra], "big")
        if opcode != TEXT or length + self._size > self._most:
            self._check(opcode, fin, length)
        end = start + length
        return (opcode, fin, start, end) if len(data) >= end else None

    def _check(self, opcode: int, fin: bool, length: int) -> None:
        if opcode == BINARY:
            raise FrameError(CloseReason.UNSUPPORTED)
        if opcode not in (CONTINUATION, TEXT, CLOSE, PING, PONG) or (
            opcode >= CLOSE and (not fin or length > CONTROL_BYTES)
        ):
            raise FrameError(CloseReason.PROTOCOL)
        if length + self._size > self._most and opcode < CLOSE:
            raise FrameError(CloseReason.TOO_BIG)

    def _joined(self, opcode: int, fin: bool, payload: bytes) -> bytes | None:
        """Add a fragment; return the message when it was the last one."""
        if (opcode == TEXT) == (self._fragments is not None):
            raise FrameError(CloseReason.PROTOCOL)
        if self._fragments is None:
            self._fragments = []
        if payload:  # empty ones would have no bound
            self._fragments.append(payload)
            self._size += len(payload)
        if not fin:
            return None
        whole = b"".join(self._fragments)
        self._fragments, self._size = None, 0
        return whole


def _unmasked(data: bytes, start: int, end: int) -> bytes:
    """Return the payload between two places, unmasked: one XOR of two long numbers."""
    length = end - start
    if not length:
        return b""
    mask = data[start - 4 : start]
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
    return (int.from_bytes(data[start:end], "little") ^ key).to_bytes(length, "little")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a whole unmasked frame, as a server sends it."""
    length = len(payload)
    if length <= CONTROL_BYTES:
        return b"%c%c%b" % (0x80 | opcode, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (0x80 | opcode, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (0x80 | opcode, length.to_bytes(8, "big"), payload)


def close_frame(number: int, reason: str) -> bytes:
    """Return a close frame; 1006 and the like, which may not be sent, are sent without a number."""
    body = b"" if number in (1005, 1006, 1015) else number.to_bytes(2, "big") + reason.encode()[: CONTROL_BYTES - 2]
    return frame(body, CLOSE)


def accept_key(key: str) -> str:
    """Return Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()
