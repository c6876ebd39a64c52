"""What one flush of positions writes, and what the database answers for each. Pure.

Kept apart from the queue in positions.py: a batch can be merged, split in halves and put back without anybody waiting.
"""

from typing import Any, NamedTuple, Protocol

import orjson

from chat.errors import ChatError

__all__ = ["LAST", "Batch", "Key", "Reading", "Row"]

Key = tuple[int, int]  # conversation, user: the order in which rows are locked
LAST = 2**62  # a seq that stands for the last entry, whichever that is when it is written


class Waiter(Protocol):
    """Who waits for an answer."""

    def set(self, value: Any, /) -> None:
        """Take the answer."""


class Row(NamedTuple):
    """The database's answer for one member: where they stand now, and the receipt if somebody is to get one."""

    conversation: int
    user: int
    low: int | None
    high: int | None
    read_seq: int
    unread: int
    last_seq: int  # of the conversation, up to which `unread` counts
    moved: bool  # read further than before
    told_read: int | None
    told_delivered: int | None
    authors: list[int] | None
    member: str | None  # the user's wire id, where there are authors


class Reading:
    """A member reads up to `seq`: the sessions that wait for it, and the one (if it is one) that gets the reply."""

    __slots__ = ("origin", "seq", "waiters")

    def __init__(self, seq: int | None, origin: str):
        self.seq = LAST if seq is None else min(seq, LAST)
        self.origin = origin
        self.waiters: list[Waiter] = []

    def merge(self, other: "Reading") -> None:
        """Read as far as the further of both, and answer everybody."""
        self.seq = max(self.seq, other.seq)
        self.waiters += other.waiters
        if other.origin != self.origin:
            self.origin = ""  # two sessions: both get the reply, and are told like the others

    def answer(self, answer: dict[str, Any] | ChatError) -> None:
        """Let everybody who waits go on."""
        for waiter in self.waiters:
            waiter.set(answer)


class Batch:
    """The readings and the delivered positions of one call, by member."""

    __slots__ = ("delivered", "passed", "readings")

    def __init__(self, readings: dict[Key, Reading], delivered: dict[Key, int], passed: dict[Key, int] | None = None):
        self.readings = readings
        self.delivered = delivered
        self.passed = passed or {}  # read positions before members sent messages

    def __len__(self) -> int:
        return len(self._keys())

    def encoded(self) -> bytes:
        """Return what the database's function takes."""
        items = []
        for key in self._keys():
            reading = self.readings.get(key)
            read = None if reading is None else reading.seq
            items.append({"c": key[0], "u": key[1], "d": self.delivered.get(key), "r": read, "p": self.passed.get(key)})
        return orjson.dumps(items)

    def halves(self) -> "tuple[Batch, Batch]":
        """Split, so that one bad position does not fail the others."""
        keys = self._keys()
        middle = len(keys) // 2
        return self.part(set(keys[:middle])), self.part(set(keys[middle:]))

    def part(self, wanted: set[Key]) -> "Batch":
        """Return what it holds of these members."""
        return Batch(
            {key: reading for key, reading in self.readings.items() if key in wanted},
            {key: seq for key, seq in self.delivered.items() if key in wanted},
            {key: seq for key, seq in self.passed.items() if key in wanted},
        )

    def _keys(self) -> list[Key]:
        return sorted(self.readings.keys() | self.delivered.keys() | self.passed.keys())
