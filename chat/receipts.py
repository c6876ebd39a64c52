"""Receipts on their way to the authors: the first at once, what follows within a second merged into the next. Pure.

A member who scrolls through a busy conversation moves their positions many times a second; the authors need the last.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import orjson

from chat.frames import USER, Event

__all__ = ["Receipt", "Receipts"]

EVERY = 1.0  # seconds between two receipts of one member in one conversation: faster than anybody looks
KEPT = 20_000  # receipts remembered for their second; beyond it they are told unmerged. About 10 MB


class Receipt:
    """How far a member has come in a conversation (wire ids; None: not told), and the authors (numbers) it concerns."""

    __slots__ = ("authors", "conversation", "delivered_seq", "member", "read_seq")

    def __init__(
        self, conversation: str, member: str, read_seq: int | None, delivered_seq: int | None, authors: Iterable[int]
    ):
        self.conversation = conversation
        self.member = member
        self.read_seq = read_seq
        self.delivered_seq = delivered_seq
        self.authors = set(authors)

    def merge(self, later: "Receipt") -> None:
        """Take over what a later receipt of the same member and conversation says."""
        self.read_seq = later.read_seq if self.read_seq is None else max(self.read_seq, later.read_seq or 0)
        self.delivered_seq = (
            later.delivered_seq if self.delivered_seq is None else max(self.delivered_seq, later.delivered_seq or 0)
        )
        self.authors |= later.authors

    def events(self) -> list[Event]:
        """Return one event per author; all carry the same bytes."""
        data = {"conversationId": self.conversation, "userId": self.member}
        told = {"deliveredSeq": self.delivered_seq, "readSeq": self.read_seq}
        raw = orjson.dumps(data | {name: seq for name, seq in told.items() if seq is not None})
        return [Event("receipt", raw, USER, author) for author in sorted(self.authors)]


class Receipts:
    """The receipts of this process's last second. `clock` gives seconds. Call `ripe` whenever `rest` is over."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        # By conversation and member: when it was told last, and what waits since. Oldest first.
        self._last: OrderedDict[tuple[str, str], tuple[float, Receipt | None]] = OrderedDict()
        self._waiting = 0

    def offer(self, receipt: Receipt) -> list[Event]:
        """Take a receipt; return what is to be told now."""
        key = (receipt.conversation, receipt.member)
        told = self._last.get(key)
        if told is None:
            if len(self._last) < KEPT:
                self._last[key] = (self._clock(), None)
            return receipt.events()
        at, waiting = told
        if waiting is None:
            self._last[key] = (at, receipt)
            self._waiting += 1
        else:
            waiting.merge(receipt)
        return []

    def ripe(self) -> list[Event]:
        """Return what has waited long enough, and forget what was told long enough ago."""
        now = self._clock()
        events: list[Event] = []
        while self._last:
            key, (at, waiting) = next(iter(self._last.items()))
            if at + EVERY > now:
                break
            del self._last[key]
            if waiting is not None:
                self._waiting -= 1
                self._last[key] = (now, None)
                events += waiting.events()
        return events

    def rest(self) -> float | None:
        """Return the seconds until `ripe` is worth calling, None if nothing waits."""
        if not self._waiting:
            return None
        at, _ = next(iter(self._last.values()))
        return max(0.0, at + EVERY - self._clock())
