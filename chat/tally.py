"""What a user has not read, as the database counted it, and as it is left in Redis for other processes. Pure."""

from typing import Any, NamedTuple

import orjson

__all__ = ["KEY", "KEY_SECONDS", "SHOWN", "Tally", "array", "read_tally"]

KEY = "user:unread:"  # and the user's number: [stamp, total, named]
KEY_SECONDS = 604_800  # of life for a key in Redis: who was away for longer is counted anew
SHOWN = 100  # conversations with their last message: what a list shows at once; the others have none
ROW = 7  # values in a row of `named`
BEYOND = 2**63  # the first number that PostgreSQL has no bigint for: in one user's key it would fail 63 others, too
END = 253_402_300_800_000_000  # microseconds since 1970: the year 10,000, which no time on the wire can tell


class Tally(NamedTuple):
    """What a user has not read, by the state that `stamp` stands for. `named`: a row per conversation, newest first.

    A row is [conversation, low, high, unread, change, seq of the last entry (0: not seen by the user), its time in µs].
    """

    stamp: int
    total: int
    named: list[list[Any]]

    def encoded(self) -> bytes:
        """Return what stands in Redis."""
        return orjson.dumps([*self])


def read_tally(raw: bytes | None) -> Tally | None:
    """Return a tally as it was left in Redis; None if there is none, or nothing that is one."""
    try:
        stamp, total, named = orjson.loads(raw or b"")
        makes_sense = _are_numbers(stamp, total) and type(named) is list and all(map(_is_row, named))
    except (ValueError, TypeError):
        return None
    return Tally(stamp, total, named) if makes_sense else None


def _is_row(row: list[Any]) -> bool:
    number, low, high, *others, at_us = row
    pair = () if low is None and high is None else (low, high)
    return len(row) == ROW and _are_numbers(number, *pair, *others, at_us) and 0 <= at_us < END


def _are_numbers(*values: Any) -> bool:
    return all(type(value) is int and -BEYOND <= value < BEYOND for value in values)


def array(values: list[Any]) -> bytes:
    """Return numbers, and nulls, as PostgreSQL writes an array."""
    return b"{%b}" % b",".join(b"NULL" if value is None else b"%d" % value for value in values)
