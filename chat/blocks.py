"""Blocks of history: 64 entries of a conversation by seq, encoded, with the `change` that they were read at. Pure.

A block is text: a head, then an entry a line. An entry stands there as it goes out, but for one with media: its row is
kept and encoded at each reading, for the addresses in it are signed anew each day.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from chat.entries import entry_json
from chat.media_address import MEDIA

__all__ = ["BLOCK", "ROW", "Block", "block_of", "kept_line", "line_json"]

BLOCK = 64  # entries: a screen or two, some 30 kB; more would be read and sent for a page of 50 than it shows
FORMAT = b"1"  # of a block's text; another version of the server leaves what it does not know alone
ROW = b"["  # with which a row begins that is to be encoded when it is read; entries begin with a brace
BODY = 9  # of a row: where its other fields stand


class Block(NamedTuple):
    """Entries of a conversation with rising seqs, without a hole, from `first` on; all of them as of `change`.

    `generation` is that of the database, `at_us` the time of the newest of them, microseconds since the epoch.
    """

    generation: str
    change: int
    first: int
    at_us: int
    lines: list[bytes]

    @property
    def last(self) -> int:
        """Seq of the last entry."""
        return self.first + len(self.lines) - 1

    def encoded(self) -> bytes:
        """Return the block's text."""
        head = b"%b %b %d %d %d" % (FORMAT, self.generation.encode(), self.change, self.first, self.at_us)
        return b"\n".join((head, *self.lines))

    @classmethod
    def read(cls, text: bytes) -> "Block | None":
        """Return the block of this text, None if it is none of ours."""
        head, *lines = text.split(b"\n")
        try:
            version, generation, change, first, at_us = head.split(b" ")
            block = cls(generation.decode(), int(change), int(first), int(at_us), lines)
        except ValueError:
            return None
        return block if version == FORMAT and lines else None


def block_of(seq: int) -> int:
    """Return the number of the block that an entry stands in; seqs begin with 1."""
    return (seq - 1) // BLOCK


def kept_line(row: Sequence[Any]) -> bytes:
    """Return an entry as it is kept, on one line; `row` as in chat/entries.py."""
    body = row[BODY]
    return orjson.dumps(row) if body and body.startswith(MEDIA) else entry_json(list(row))


def line_json(line: bytes) -> bytes:
    """Return a kept entry as it goes out today."""
    return entry_json(orjson.loads(line)) if line.startswith(ROW) else line
