"""What lines do when their time is over, looked at twenty times a second for all of them together.

A timer of the loop for each poll, one while it waits and one until the next comes, cost a tenth of what the poll did.
"""

import logging
import time
from collections.abc import Callable

import gevent

__all__ = ["SLOT", "Deadlines"]

SLOT = 0.05  # seconds by which something may be done late

logger = logging.getLogger(__name__)


class Deadlines:
    """The deadlines of a process. Each is named by a key, which cancels it; bounded by whoever sets them."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[object, Callable[[], None]]] = {}  # by the number of the slot that is over then
        self._looking = False

    def set(self, key: object, seconds: float, then: Callable[[], None]) -> int:
        """Call `then`, which never waits, in so many seconds. Returns where it stands, for `cancel`."""
        now = time.monotonic()
        slot = int((now + seconds) / SLOT) + 1
        self._slots.setdefault(slot, {})[key] = then
        if not self._looking:
            self._looking = True
            gevent.spawn(self._look, int(now / SLOT))
        return slot

    def cancel(self, key: object, slot: int) -> None:
        """Do nothing about it any more."""
        self._slots.get(slot, {}).pop(key, None)

    def _look(self, looked: int) -> None:
        """Do what is due, slot by slot; `looked`: the last one that is done."""
        while self._slots:
            gevent.sleep(max(0.0, (looked + 1) * SLOT - time.monotonic()))
            now = int(time.monotonic() / SLOT)
            for slot in range(looked + 1, now + 1):
                self._do(self._slots.get(slot, {}))
                self._slots.pop(slot, None)
            looked = now
        self._looking = False

    @staticmethod
    def _do(due: dict[object, Callable[[], None]]) -> None:
        while due:
            try:
                due.popitem()[1]()
            except Exception:
                logger.exception("what was to be done at a deadline failed on our side")
