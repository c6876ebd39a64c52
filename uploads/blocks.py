"""PNG, GIF and WebP rebuilt from the blocks that show the picture: all else is left out, nothing is encoded anew.

Metadata goes (EXIF with its GPS, XMP, comments, profiles), and so does what poses as another file: data behind the end,
blocks that nobody knows. To be used on files that were decoded before. Pure.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

__all__ = ["REBUILD", "BrokenError", "rebuilt_gif", "rebuilt_png", "rebuilt_webp"]

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
# Chunks of a PNG that are kept, and the bytes that each may have (None: as many as it likes).
PNG_KEPT = {
    b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"acTL": 8, b"fcTL": 26,
    b"IDAT": None, b"fdAT": None, b"IEND": 0,
}  # fmt: skip
WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
WEBP_METADATA = 0x20 | 0x08 | 0x04  # flags in VP8X: profile, EXIF, XMP
ANMF_HEAD = 16  # bytes before a frame's own chunks
GIF_LOOP = b"NETSCAPE2.0"


class BrokenError(ValueError):
    """The file does not hold together."""


def rebuilt_png(data: bytes) -> bytes:
    """Return a PNG (or APNG) without anything that does not show it. Raises BrokenError."""
    return PNG_HEAD + b"".join(_png_chunks(data))


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
    content = b"WEBP" + b"".join(_webp_chunks(_taken(data, 8, length)[4:]))
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    place = 0
    while place + 8 <= len(data):
        kind = data[place : place + 4]
        (length,) = _unpacked("<I", data, place + 4)
        content = _taken(data, place + 8, length)
        if kind == b"VP8X":
            content = bytes([content[0] & ~WEBP_METADATA]) + content[1:10] if content else b""
        elif kind == b"ANMF":
            content = content[:ANMF_HEAD] + b"".join(_webp_chunks(content[ANMF_HEAD:]))
        if kind in WEBP_KEPT:
            yield kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)
        place += 8 + length + (length & 1)


def rebuilt_gif(data: bytes) -> bytes:
    """Return a GIF without anything that does not show it. Raises BrokenError."""
    _taken(data, 0, 13)
    end = 13 + _colours(data[10])
    return _taken(data, 0, end) + b"".join(_gif_blocks(data, end)) + b";"


def _gif_blocks(data: bytes, place: int) -> Iterator[bytes]:
    while place < len(data) and data[place] != 0x3B:
        begin = place
        if data[place] == 0x2C:  # a picture: place, size, colours, then its data
            flags = _taken(data, place, 10)[9]
            place = _after(data, place + 11 + _colours(flags))
            yield data[begin:place]
        elif data[place] == 0x21:
            place = _after(data, place + 2)
            if _shows(data, begin, place):
                yield data[begin:place]
        else:
            raise BrokenError("no block of a GIF")


def _shows(data: bytes, begin: int, end: int) -> bool:
    """Tell whether an extension is about showing: a frame's time and way, or how often all are repeated."""
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


def _unpacked(form: str, data: bytes, place: int) -> tuple[int]:
    try:
        found: tuple[int] = struct.unpack_from(form, data, place)
    except struct.error as error:
        raise BrokenError("cut off") from error
    return found


def _taken(data: bytes, place: int, length: int) -> bytes:
    found = data[place : place + length]
    if len(found) < length:
        raise BrokenError("cut off")
    return found


REBUILD: dict[str, Callable[[bytes], bytes]] = {"PNG": rebuilt_png, "GIF": rebuilt_gif, "WEBP": rebuilt_webp}
