"""PNG, GIF and WebP rebuilt from the blocks that show the picture: all else is left out, nothing is encoded anew.

Metadata goes (EXIF with its GPS, XMP, comments, profiles), and so does what poses as another file: data behind the end,
blocks that nobody knows. To be used on files that were decoded before. Pure.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["REBUILD", "BrokenError", "gif_extent", "rebuilt_gif", "rebuilt_png", "rebuilt_webp"]

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
# Chunks of a PNG that are kept, and the bytes that each may have (None: as many as it likes).
PNG_KEPT = {
    b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"acTL": 8, b"fcTL": 26,
    b"IDAT": None, b"fdAT": None, b"IEND": 0,
}  # fmt: skip
WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
FRAME_KEPT = {b"VP8 ", b"VP8L", b"ALPH"}  # of a frame's own chunks
WEBP_METADATA = 0x20 | 0x08 | 0x04  # flags in VP8X: profile, EXIF, XMP
ANMF_HEAD = 16  # bytes before a frame's own chunks
GIF_LOOP = b"NETSCAPE2.0"
PICTURE, EXTENSION = 0x2C, 0x21  # how a block of a GIF begins: place, size, colours, data; or kind and data

Bytes = TypeVar("Bytes", bytes, memoryview)


class BrokenError(ValueError):
    """The file does not hold together."""


def rebuilt_png(data: bytes) -> bytes:
    """Return a PNG (or APNG) without anything that does not show it. Raises BrokenError."""
    kept = bytearray(PNG_HEAD)  # and no list of the pieces: of a million small ones that would be the larger part
    for chunk in _png_chunks(data):
        kept += chunk
    return bytes(kept)


def _png_chunks(data: bytes) -> Iterator[bytes]:
    place = len(PNG_HEAD)
    while True:
        (length,) = _unpacked(">I", data, place)
        kind = data[place + 4 : place + 8]
        content = _taken(data, place + 8, length)
        most = PNG_KEPT.get(kind, -1)
        if most is None or length <= most:
            yield struct.pack(">I", length) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        if kind == b"IEND":
            return
        place += 12 + length


def rebuilt_webp(data: bytes) -> bytes:
    """Return a WebP without anything that does not show it. Raises BrokenError."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise BrokenError("no WebP")
    (length,) = _unpacked("<I", data, 4)
    content = bytearray(b"WEBP")
    for kind, chunk in _webp_chunks(_taken(memoryview(data), 8, length)[4:]):
        if kind == b"VP8X" and chunk:
            content += _webp_chunk(kind, bytes([chunk[0] & ~WEBP_METADATA]), chunk[1:10])
        elif kind == b"ANMF":
            content += _webp_chunk(kind, chunk[:ANMF_HEAD], _webp_frame(chunk[ANMF_HEAD:]))
        elif kind in WEBP_KEPT:
            content += _webp_chunk(kind, chunk)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _webp_frame(data: memoryview) -> bytearray:
    content = bytearray()
    for kind, chunk in _webp_chunks(data):
        if kind == b"ANMF":  # decoders may show it as the next one; to go down into it, and on, has no end
            raise BrokenError("a frame within a frame")
        if kind in FRAME_KEPT:
            content += _webp_chunk(kind, chunk)
    return content


def _webp_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 0
    while place + 8 <= len(data):
        (length,) = _unpacked("<I", data, place + 4)
        yield bytes(data[place : place + 4]), _taken(data, place + 8, length)
        place += 8 + length + (length & 1)


def _webp_chunk(kind: bytes, *parts: bytes | memoryview | bytearray) -> bytes:
    content = b"".join(parts)
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def rebuilt_gif(data: bytes) -> bytes:
    """Return a GIF without anything that does not show it. Raises BrokenError."""
    _taken(data, 0, 13)
    end = 13 + _colours(data[10])
    kept = bytearray(_taken(data, 0, end))
    for begin, behind in _gif_blocks(data, end):
        if _shows(data, begin, behind):
            kept += data[begin:behind]
    return bytes(kept + b";")


def gif_extent(data: bytes) -> tuple[int, int, int]:
    """Return the width and the height that show all frames of a GIF, and how many there are. Raises BrokenError."""
    _taken(data, 0, 13)
    width, height, frames = *struct.unpack_from("<HH", data, 6), 0
    for begin, _ in _gif_blocks(data, 13 + _colours(data[10])):
        if data[begin] == PICTURE:
            left, top, wide, high = struct.unpack_from("<HHHH", data, begin + 1)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
    return width, height, frames


def _gif_blocks(data: bytes, place: int) -> Iterator[tuple[int, int]]:
    """Yield where each block begins and ends, from the first one on."""
    while place < len(data) and data[place] != 0x3B:
        begin = place
        if data[place] == PICTURE:
            flags = _taken(data, place, 10)[9]
            place = _after(data, place + 11 + _colours(flags))
        elif data[place] == EXTENSION:
            place = _after(data, place + 2)
        else:
            raise BrokenError("no block of a GIF")
        yield begin, place


def _shows(data: bytes, begin: int, end: int) -> bool:
    """Tell whether a block shows a picture, or says how: a frame's time and way, or how often all are repeated."""
    if data[begin] == PICTURE:
        return True
    if data[begin + 1] == 0xF9:
        return end - begin == 8
    return data[begin + 1] == 0xFF and data[begin + 3 : begin + 14] == GIF_LOOP and end - begin == 19


def _colours(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _after(data: bytes, place: int) -> int:
    """Return the place behind the pieces, each with its length in front, that begin here."""
    size = len(data)
    while place < size:
        length = data[place]
        place += 1 + length
        if not length:
            return place
    raise BrokenError("cut off")


def _unpacked(form: str, data: Bytes, place: int) -> tuple[int]:
    try:
        found: tuple[int] = struct.unpack_from(form, data, place)
    except struct.error as error:
        raise BrokenError("cut off") from error
    return found


def _taken(data: Bytes, place: int, length: int) -> Bytes:
    found = data[place : place + length]
    if len(found) < length:
        raise BrokenError("cut off")
    return found


REBUILD: dict[str, Callable[[bytes], bytes]] = {"PNG": rebuilt_png, "GIF": rebuilt_gif, "WEBP": rebuilt_webp}
