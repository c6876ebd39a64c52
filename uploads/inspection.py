"""What a file is, told from its content and never from its name. Pure.

Only what is in the tables here gets a type of its own. Everything else, and all that a browser could run as a page, is
`application/octet-stream`: it can be downloaded and nothing more.
"""

from typing import NamedTuple

import puremagic

__all__ = ["HEAD_BYTES", "FileType", "type_of"]

HEAD_BYTES = 4_096  # of a file that are looked at
IMAGES = {  # how files begin that Pillow is asked about, by its name of the format
    "JPEG": ((0, b"\xff\xd8\xff"),),
    "PNG": ((0, b"\x89PNG\r\n\x1a\n"),),
    "GIF": ((0, b"GIF87a"), (0, b"GIF89a")),
    "WEBP": ((8, b"WEBPVP8"),),
}
FILES = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/x-gzip": ".gz",
    "application/x-7z-compressed": ".7z",
    "application/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/wave": ".wav",
    "audio/x-flac": ".flac",
    "audio/mp4": ".m4a",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
}
ZIPS = [".docx", ".pptx", ".xlsx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk"]  # all begin as a zip does
WRITTEN = {"\t", "\n", "\r", "\f"}


class FileType(NamedTuple):
    """A file's type and its extension with the dot; `image`: Pillow's name of the format, empty for what is none."""

    mime_type: str
    extension: str
    image: str = ""


UNKNOWN = FileType("application/octet-stream", ".bin")
TEXT = FileType("text/plain", ".txt")


def type_of(head: bytes) -> FileType:
    """Return the type of the file that begins like this. An image is only said to be one: decode it."""
    for name, marks in IMAGES.items():
        if any(head.startswith(mark, place) for place, mark in marks):
            return FileType(f"image/{name.lower()}", "", name)
    return _known(head) or (TEXT if _is_text(head) else UNKNOWN)


def _known(head: bytes) -> FileType | None:
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    for guess in found:
        mime_type = "application/zip" if guess.extension in ZIPS else guess.mime_type
        if mime_type in FILES:
            return FileType(mime_type, FILES[mime_type])
    return UNKNOWN


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:  # else a character is cut in two
            return False
        text = head[: error.start].decode()
    return all(sign.isprintable() or sign in WRITTEN for sign in text)
