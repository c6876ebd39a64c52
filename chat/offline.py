"""Long backlogs: Celery's worker builds the batches of missed messages beyond the first, or else this process.

A batch is asked for when the one before was taken. What all sessions ask for in the same moment is one task, for a task
costs as much as building five batches. The worker answers on this process's own channel. Whether it answers is
remembered: a broker that is away, or a worker that is busy, delays one round of batches and not each.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any, cast

import gevent
from gevent.event import AsyncResult
from gevent.event import Event as Signal

from chat.entries import Parcel, unpacked
from chat.errors import ChatError
from chat.frames import Event
from chat.session import Session, State
from tasks import queue

__all__ = ["TASK", "Offline"]

TASK = "tasks.offline.build"
ANSWER_SECONDS = 1.5  # for the worker, which takes some milliseconds
EXPIRES = 30  # seconds after which the worker need not begin: far beyond what two clocks may differ by
GATHER = 0.05  # seconds between two tasks, of 0.5 ms each: then those who come back together share one
A_TASK = 20  # batches of one task: 1,000 messages, some 50 ms of the worker
AWAY = 10.0  # seconds for which a broker or worker that did not do its part is not asked
AGAIN = 0.2  # seconds until a database that could not be asked is asked again

logger = logging.getLogger(__name__)


class Offline:
    """Builds parcels for sessions that catch up. `posted` is to be given what comes on the process's channel.

    `built` counts batches by who built them: worker, or here.
    """

    def __init__(self, node: Any):
        self._node = node
        self._queue: list[tuple[str, int, Parcel]] = []  # one per session that catches up
        self._awaited: dict[str, AsyncResult] = {}
        self._wake = Signal()
        self._numbers = count(1)
        self._away_until = 0.0
        self.built: Counter[str] = Counter(worker=0, here=0)
        self.loops: dict[str, Callable[[], None]] = {"offline batches": self._run}

    def build(self, session: Session, parcel: Parcel) -> Event | None:
        """Return the batch, once it is built; None if the session ends before."""
        event = self._by_worker(session, parcel)
        if event is not None:
            self.built["worker"] += 1
        while event is None and session.state is State.CATCHING:
            try:
                event = self._node.catchup.build(session.caller.user_id, parcel)
                self.built["here"] += 1
            except ChatError:
                gevent.sleep(AGAIN)
        return event

    def posted(self, data: bytes) -> None:
        """Take a batch that the worker built. One that nobody waits for any more is dropped."""
        tag, event = unpacked(data)
        awaited = self._awaited.get(tag)
        if awaited is not None:
            awaited.set(event)

    def _by_worker(self, session: Session, parcel: Parcel) -> Event | None:
        # While Redis is in doubt the answer would not come through.
        if self._node.log.epoch is None or time.monotonic() < self._away_until:
            return None
        tag = f"{session.id}.{next(self._numbers)}"
        answer = self._awaited[tag] = AsyncResult()
        self._queue.append((tag, session.caller.user_id, parcel))
        self._wake.set()
        try:
            return cast("Event | None", answer.get(timeout=ANSWER_SECONDS))
        except gevent.Timeout:
            self._leave_alone("did not answer in time")
            return None
        finally:
            del self._awaited[tag]

    def _run(self) -> None:
        while True:
            if not self._queue:
                self._wake.clear()
                self._wake.wait()
            asked, self._queue = self._queue[:A_TASK], self._queue[A_TASK:]
            self._ask([one for one in asked if one[0] in self._awaited])
            gevent.sleep(GATHER)

    def _ask(self, asked: list[tuple[str, int, Parcel]]) -> None:
        if not asked:
            return
        requests = [(tag, user_id, parcel.keys, parcel.remaining) for tag, user_id, parcel in asked]
        if not queue.send(TASK, (self._node.process_id, requests), expires=EXPIRES, retry=False):
            self._leave_alone("was not to be had")
            for answer in list(self._awaited.values()):
                answer.set(None)

    def _leave_alone(self, why: str) -> None:
        now = time.monotonic()
        if now >= self._away_until:
            logger.warning("Celery's worker %s: offline batches are built here for %.0f s", why, AWAY)
            self._away_until = now + AWAY
