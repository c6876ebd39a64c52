"""Long backlogs: Celery's worker builds the batches of missed messages beyond the first, or else this process.

A batch is asked for when the one before was taken. What all sessions ask for in the same moment is one task, for a task
costs as much as building five batches. The worker answers on this process's own channel. Whether it answers is
remembered: a broker that is away, or a worker that is busy, delays one round of batches and not each. What waits here
until the worker has room is no fault of the worker's.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.event import Event as Signal

from chat.entries import FORMAT, Parcel, unpacked
from chat.errors import ChatError
from chat.frames import Event
from chat.session import Session, State
from tasks import queue

__all__ = ["TASK", "Offline", "Patience"]

TASK = "tasks.offline.build"
ANSWER_SECONDS = 1.5  # for the worker, from when it was asked; it takes some milliseconds
WAIT_SECONDS = 2.0  # that a session waits in all for batches of one backlog: beyond it, to build them here is quicker
EXPIRES = 30  # seconds after which the worker need not begin: far beyond what two clocks may differ by
GATHER = 0.05  # seconds between two tasks, of 0.5 ms each: then those who come back together share one
A_TASK = 20  # batches of one task: 1,000 messages, some 50 ms of the worker
SENT = 80  # batches that the worker has at a time: two tasks for each of its processes; more would only wait there
AWAY = 10.0  # seconds for which a broker or worker that did not do its part is not asked
AGAIN = 0.2  # seconds until a database that could not be asked is asked again

logger = logging.getLogger(__name__)


class Patience:
    """How many seconds a session still waits for the worker, in all, while it catches up."""

    def __init__(self) -> None:
        self.left = WAIT_SECONDS


class _Asked:
    """A batch that was asked for: it waits here until it is sent, and then for its answer."""

    __slots__ = ("answer", "parcel", "sent", "tag", "user_id")

    def __init__(self, tag: str, user_id: int, parcel: Parcel):
        self.tag, self.user_id, self.parcel = tag, user_id, parcel
        self.sent = Signal()
        self.answer = AsyncResult()

    def refuse(self) -> None:
        """Let who waits build it, unless the answer is there."""
        if not self.answer.ready():
            self.answer.set(None)
        self.sent.set()


class Offline:
    """Builds parcels for sessions that catch up. `posted` is to be given what comes on the process's channel.

    `built` counts batches by who built them: worker, or here.
    """

    def __init__(self, node: Any):
        self._node = node
        self._queue: list[_Asked] = []  # one per session that catches up
        self._awaited: dict[str, _Asked] = {}
        self._sent: set[str] = set()  # tags of those that the worker has
        self._wake = Signal()
        self._numbers = count(1)
        self._away_until = 0.0
        self.built: Counter[str] = Counter(worker=0, here=0)
        self.loops: dict[str, Callable[[], None]] = {"offline batches": self._run}

    def build(self, session: Session, parcel: Parcel, patience: Patience) -> Event | None:
        """Return the batch, once it is built; None if the session ends before."""
        event = self._by_worker(session, parcel, patience)
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
        asked = self._awaited.get(tag)
        if asked is not None:
            asked.answer.set(event)

    def _by_worker(self, session: Session, parcel: Parcel, patience: Patience) -> Event | None:
        # While Redis is in doubt the answer would not come through.
        if self._node.log.epoch is None or patience.left <= 0 or time.monotonic() < self._away_until:
            return None
        asked = _Asked(f"{session.id}.{next(self._numbers)}", session.caller.user_id, parcel)
        self._awaited[asked.tag] = asked
        self._queue.append(asked)
        self._wake.set()
        begun = time.monotonic()
        try:
            if not asked.sent.wait(patience.left):
                return None
            return self._answer(asked, patience.left - (time.monotonic() - begun))
        finally:
            patience.left -= time.monotonic() - begun
            del self._awaited[asked.tag]
            self._sent.discard(asked.tag)
            self._wake.set()

    def _answer(self, asked: _Asked, patience: float) -> Event | None:
        """Wait for what the worker was asked for. It is to blame only if it had all the time that it is given."""
        try:
            event: Event | None = asked.answer.get(timeout=max(0.0, min(patience, ANSWER_SECONDS)))
        except gevent.Timeout:
            if patience >= ANSWER_SECONDS:
                self._leave_alone("did not answer in time")
            return None
        return event

    def _run(self) -> None:
        while True:
            while not self._queue or len(self._sent) > SENT - A_TASK:
                self._wake.clear()
                self._wake.wait()
            asked, self._queue = self._queue[:A_TASK], self._queue[A_TASK:]
            self._ask([one for one in asked if one.tag in self._awaited])
            if len(self._queue) < A_TASK:
                gevent.sleep(GATHER)

    def _ask(self, batches: list[_Asked]) -> None:
        if not batches:
            return
        requests = [(asked.tag, asked.user_id, asked.parcel.keys, asked.parcel.remaining) for asked in batches]
        if not queue.send(TASK, (FORMAT, self._node.process_id, requests), expires=EXPIRES, retry=False):
            self._leave_alone("was not to be had")
            return
        for asked in batches:
            asked.sent.set()
            if asked.tag in self._awaited:
                self._sent.add(asked.tag)

    def _leave_alone(self, why: str) -> None:
        """Ask the worker no more for a while, and let all who wait for it build their batches."""
        now = time.monotonic()
        if now >= self._away_until:
            logger.warning("Celery's worker %s: offline batches are built here for %.0f s", why, AWAY)
            self._away_until = now + AWAY
        for asked in list(self._awaited.values()):
            asked.refuse()
