"""Says which conversations got messages, so that Celery can push to members without a session; tasks/pushes.py.

Off, and then not asked at all, unless a channel is set. Lost notes do no harm: Celery looks at the database, too.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent.event import Event as Signal

from chat.frames import CONVERSATION, Event
from tasks import queue

__all__ = ["TASK", "Push"]

TASK = "tasks.pushes.find"
EVERY = 2.0  # seconds: a burst of messages is one notification
A_TASK = 100  # conversations of one task
MOST = 10_000  # conversations noted; those beyond are found by Celery's own look
EXPIRES = 60  # seconds after which Celery's own look has found them anyway


class Push:
    """Collects and enqueues. The node runs `loops`."""

    def __init__(self, config: Mapping[str, Any]):
        self.on = bool(config["PUSH_WEBHOOK_URL"])
        self._noted: dict[int, None] = {}
        self._wake = Signal()
        self.loops: dict[str, Callable[[], None]] = {"push": self._run} if self.on else {}

    def note(self, events: Iterable[Event]) -> None:
        """Note the conversations of messages that this process has committed. Never waits."""
        for event in events:
            if event.name == "message" and event.scope == CONVERSATION and len(self._noted) < MOST:
                self._noted[event.target] = None
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            gevent.sleep(EVERY)
            self._wake.clear()
            noted, self._noted = list(self._noted), {}
            for start in range(0, len(noted), A_TASK):
                if not queue.send(TASK, (noted[start : start + A_TASK],), expires=EXPIRES):
                    break
