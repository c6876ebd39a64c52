"""WebSocket frames as a client writes and reads them. Pure: bytes in, bytes out.

All four bytes of the mask are the same, so that masking is one `translate` in C; the server unmasks as it would any.
"""

import struct

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "ProtocolError", "client_frame", "close_frame", "split"]

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FINAL = 0x80
MASKED = 0x80

KEY_BYTE = 0x37
KEY = bytes([KEY_BYTE]) * 4
MASK = bytes(byte ^ KEY_BYTE for byte in range(256))


class ProtocolError(Exception):
    """The server sent what no server may send."""


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One complete masked frame of at most 65,535 bytes of payload."""
    size = len(payload)
    if size < 126:
        head = bytes((FINAL | opcode, MASKED | size))
    else:
        head = struct.pack(">BBH", FINAL | opcode, MASKED | 126, size)
    return head + KEY + payload.translate(MASK)


def close_frame(code: int = 1000) -> bytes:
    """A client's close frame."""
    return client_frame(struct.pack(">H", code), CLOSE)


def split(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The complete frames at the start of the buffer as (opcode, payload), and the bytes that are left.

    Raises ProtocolError for fragments, reserved bits and masked frames, which no server here has a reason to send.
    """
    frames: list[tuple[int, bytes]] = []
    position, end = 0, len(buffer)
    while end - position >= 2:
        first, size = buffer[position], buffer[position + 1]
        start = position + 2
        if size == 126:
            start += 2
            size = int.from_bytes(buffer[position + 2 : start], "big")
        elif size >= 127:
            start, size = _long_size(buffer, position)
        if start + size > end:
            break
        if not FINAL <= first < FINAL | 0x10:
            raise ProtocolError(f"a frame that begins with {first:#x}")
        frames.append((first & 0x0F, buffer[start : start + size]))
        position = start + size
    return frames, buffer[position:]


def _long_size(buffer: bytes, position: int) -> tuple[int, int]:
    if buffer[position + 1] & MASKED:
        raise ProtocolError("a masked frame from the server")
    start = position + 10
    # A cut header reads as a small size, but its start lies beyond the end, which is what counts.
    return start, int.from_bytes(buffer[position + 2 : start], "big")
