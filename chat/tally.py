"""What a user has not read, as the database counted it, and as it is left in Redis for other processes. Pure."""

from typing import Any, NamedTuple

import orjson

__all__ = ["KEY", "KEY_SECONDS", "SHOWN", "Tally", "array", "read_tally"]

KEY = "user:unread:"  # and the user's number: [stamp, total, named]
KEY_SECONDS = 604_800  # of life for a key in Redis: who was away for longer is counted anew
SHOWN = 100  # conversations with their last message: what a list shows at once; the others have none
ROW = 7  # values in a row of `named`


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
        tally = Tally(int(stamp), int(total), list(named))
        return tally if all(len(row) == ROW for row in tally.named) else None
    except (ValueError, TypeError):
        return None


def array(values: list[Any]) -> bytes:
    """Return numbers, and nulls, as PostgreSQL writes an array."""
    return b"{%b}" % b",".join(b"NULL" if value is None else b"%d" % value for value in values)
