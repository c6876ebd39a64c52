"""What lines do when their time is over, looked at four times a second for all of them together.

A timer of the loop for each poll, one while it waits and one until the next comes, cost a tenth of what the poll did.
"""

import time
from collections.abc import Callable

import gevent

__all__ = ["Deadlines"]

SLOT = 0.25  # seconds by which something may be done late


class Deadlines:
    """The deadlines of a process. Each is named by a key, which cancels it; bounded by whoever sets them."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[object, Callable[[], None]]] = {}  # by the number of the slot that is over then
        self._looking = False
        self._looked = 0  # the last slot of which everything is done

    def set(self, key: object, seconds: float, then: Callable[[], None]) -> int:
        """Call `then`, which never waits, in so many seconds. Returns where it stands, for `cancel`."""
        slot = max(int((time.monotonic() + seconds) / SLOT) + 1, self._looked + 1)
        self._slots.setdefault(slot, {})[key] = then
        if not self._looking:
            self._looking = True
            gevent.spawn(self._look)
        return slot

    def cancel(self, key: object, slot: int) -> None:
        """Do nothing about it any more."""
        self._slots.get(slot, {}).pop(key, None)

    def _look(self) -> None:
        while self._slots:
            gevent.sleep(SLOT)
            self._looked = int(time.monotonic() / SLOT)
            for slot in sorted(slot for slot in self._slots if slot <= self._looked):
                while self._slots[slot]:
                    self._slots[slot].popitem()[1]()
                del self._slots[slot]
        self._looking = False
