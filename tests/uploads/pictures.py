"""Pictures for tests, honest ones and others."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

GPS = 0x8825
ORIENTATION = 0x0112


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Return a picture that is red on the left and blue on the right, and much the same in all formats."""
    found = Image.new("RGB", (width, height), "red")
    found.paste("blue", (width // 2, 0, width, height))
    return found.convert(mode)


def encoded(form: str = "JPEG", *size: int, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a picture in a format."""
    buffer = io.BytesIO()
    (image or picture(*size)).save(buffer, form, **options)
    return buffer.getvalue()


def with_gps(orientation: int = 1) -> Image.Exif:
    """Return metadata of a camera that says where it was."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010E] = "SECRET PLACE"
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return exif


def animated(form: str, frames: int = 3, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """Return a picture that moves."""
    colours = ["red", "green", "blue", "white", "black"]
    pictures = [Image.new("RGB", size, colours[place % 5]) for place in range(frames)]
    return encoded(form, image=pictures[0], save_all=True, append_images=pictures[1:], duration=50, loop=0, **options)


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """Return a small PNG that would take gigabytes when it is decoded."""
    row = zlib.compressobj()
    data = b"".join(row.compress(b"\0" * (1 + width)) for _ in range(8)) + row.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def opened(data: bytes) -> Image.Image:
    """Return a picture decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
