"""Token buckets against floods: a burst at once, then a steady rate. Pure; the clock is an argument (seconds, rising).

A bucket is one number, the time at which it is full again: taking moves it on, waiting lets it pass.
"""

from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["Buckets", "TokenBucket"]

KEPT = 100_000  # buckets of one collection, some 20 MB: more users than send within a few seconds in one process
LONG_AGO = float("-inf")
ROUNDING = 1e-9  # seconds; sums of fractions must not refuse what is just allowed


class TokenBucket:
    """The bucket of one connection: `burst` units at once, `rate` a second for long. A rate of 0 sets no limit."""

    __slots__ = ("_burst", "_full_at", "_room", "_unit")

    def __init__(self, rate: float, burst: float):
        self._burst = burst
        self._unit = 1 / rate if rate > 0 else 0.0  # seconds in which one unit comes back
        self._room = burst * self._unit
        self._full_at = LONG_AGO

    def take(self, cost: float, now: float) -> float:
        """Take `cost` units and return 0; or take nothing and return the seconds after which it is worth trying again.

        A cost beyond the whole bucket takes a full one.
        """
        after = (self._full_at if self._full_at > now else now) + min(cost, self._burst) * self._unit
        wait = after - now - self._room
        if wait > ROUNDING:
            return wait
        self._full_at = after
        return 0.0


class Buckets:
    """The buckets of many keys (users) under one rate and burst. Those that are full again are forgotten."""

    def __init__(self, rate: float, burst: float):
        self._burst = burst
        self._unit = 1 / rate if rate > 0 else 0.0
        self._room = burst * self._unit
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()  # last used last

    def __len__(self) -> int:
        """Return how many buckets are remembered."""
        return len(self._full_at)

    def take(self, key: Hashable, cost: float, now: float) -> float:
        """Take `cost` units of a key's bucket and return 0; or take nothing and return the seconds to wait."""
        full_at = self._full_at.get(key)
        if full_at is None:
            self._forget(now)
            full_at = LONG_AGO
        after = (full_at if full_at > now else now) + min(cost, self._burst) * self._unit
        wait = after - now - self._room
        self._full_at[key] = full_at if wait > ROUNDING else after
        self._full_at.move_to_end(key)
        return wait if wait > ROUNDING else 0.0

    def _forget(self, now: float) -> None:
        """Drop the longest unused: two that are full for one that comes, so that many become few; one beyond KEPT."""
        for _ in range(2):
            key, full_at = next(iter(self._full_at.items()), (None, now + 1))
            if full_at > now and len(self._full_at) < KEPT:
                return
            del self._full_at[key]
