"""A user's file name: never a path on our side, only shown and proposed to whoever downloads. Pure."""

from urllib.parse import quote

from chat.text import line_of

__all__ = ["disposition", "shown_name"]

CHARACTERS = 120  # of a name that are kept; file systems take 255 bytes
EXTENSION = 10  # characters at the end that are kept if the name is cut
FORBIDDEN = '<>:"|?*\x7f'  # what some system cannot have in a name
TURNING = "\u200e\u200f\u061c"  # marks of direction: `gpj.exe` must not pose as `exe.jpg`
NAMELESS = "file"


def shown_name(given: str) -> str:
    """Return a name without folders, control characters, marks of direction and what no file may be called."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join("_" if sign in FORBIDDEN else sign for sign in last if sign not in TURNING)
    if len(clean) > 2 * CHARACTERS:
        clean = clean[: 2 * CHARACTERS] + clean[-EXTENSION:]
    stem = line_of(clean, 4 * CHARACTERS).strip(". ")
    if len(stem) > CHARACTERS:
        stem = stem[: CHARACTERS - EXTENSION] + stem[-EXTENSION:]
    return stem or NAMELESS


def disposition(name: str) -> str:
    """Return the header Content-Disposition that has a file saved under this name (RFC 6266)."""
    plain = "".join(sign if sign.isascii() and sign not in '"\\%' else "_" for sign in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
