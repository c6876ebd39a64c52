"""So many at a time: in the whole process, and of each user or address. Who comes beyond is told so at once. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from chat.errors import ChatError

__all__ = ["Places"]

LATER = 2.0  # seconds after which one of several at a time may have ended


class Places:
    """The places of a process: `most` in all, `each` for one key; `what` stands in them, in the words of a refusal."""

    def __init__(self, most: int, each: int, what: str):
        self._most, self._each, self._what = most, each, what
        self._taken: Counter[Hashable] = Counter()  # of who has some: no more keys than `most`

    @property
    def taken(self) -> int:
        """How many there are at the moment."""
        return self._taken.total()

    def take(self, key: Hashable) -> None:
        """Take a place, to be given back. Raises ChatError overloaded, or rate_limited if this key has too many."""
        if self.taken >= self._most:
            raise ChatError("overloaded", retry_after=LATER)
        if self._taken[key] >= self._each:
            raise ChatError("rate_limited", f"Too many {self._what} at a time.", retry_after=LATER)
        self._taken[key] += 1

    def give_back(self, key: Hashable) -> None:
        """Give back one place that was taken."""
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]

    @contextmanager
    def one(self, key: Hashable) -> Iterator[None]:
        """Have a place inside. Raises as `take`."""
        self.take(key)
        try:
            yield
        finally:
            self.give_back(key)
