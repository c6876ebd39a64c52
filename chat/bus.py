"""What this process tells the others and Celery, hears from them, and how far it has heard everything.

Redis is trusted from when the subscription stands until something fails; in between, the tail carries what is told.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from redis import Redis, RedisError

from chat.broker import DEAD_AFTER, LOOK, Batch, Broker
from chat.frames import Event
from chat.hub import Hub
from chat.log import Log
from chat.push import Push
from chat.redis_line import RedisLine
from chat.tail import Tail
from chat.watermark import Watermark

__all__ = ["LOGIN_ENDED", "Bus"]

logger = logging.getLogger(__name__)
LOGIN_ENDED = "login.ended"  # an event between processes: no session gets it, it ends some
MEND_EVERY = 0.5  # seconds between two tries to trust Redis again


class Bus:
    """Publishes to the log and hears the broker.

    `ended(logins)` is told of logins that were ended elsewhere, `posted(data)` of what came for this process alone,
    `returned(seconds)` that Redis is trusted again, and for how long nothing may have been heard.
    """

    def __init__(
        self,
        redis: Redis,
        config: Mapping[str, Any],
        process_id: str,
        log: Log,
        hub: Hub,
        tail: Tail,
        ended: Callable[[Iterable[int]], None],
        posted: Callable[[bytes], None],
        returned: Callable[[float], None],
    ):
        self._process_id = process_id
        self._log, self._hub, self._tail, self._ended = log, hub, tail, ended
        self._watermark = Watermark()
        self._push = Push(config)
        self._epoch: str | None = None  # of the last subscription
        self._returned = returned
        self._deaf_since = 0.0  # monotonic time, or 0: everything was heard
        self._since = 0.0  # monotonic time at which the subscription began
        self._broker = Broker(
            lambda: RedisLine(redis, LOOK),
            config["REDIS_PREFIX"],
            self._heard,
            self._subscribed,
            self._lost,
            process_id,
            posted,
            self._unread,
        )
        self.loops: dict[str, Callable[[], None]] = {
            **self._broker.loops,
            **self._push.loops,
            "mending": self._mend,
        }

    def publish(self, events: list[Event]) -> None:
        """Tell the other processes of committed events, and Celery of messages, where push is on."""
        if self._push.on:
            self._push.note(events)
        if self._log.add(events):
            self._tail.told(events)

    def deliver(self, events: list[Event]) -> None:
        """Bring events to the sessions of this process."""
        for event in events:
            self._hub.offer(event)
        self._hub.flush()

    def n(self) -> int:
        """Return the number of the bus up to which everything was delivered here."""
        if self._tail.began > self._since and not self._hub.lagging():
            self._watermark.settle()
        return self._watermark.n(self._hub)

    def _heard(self, batch: Batch) -> None:
        """Number our own events; deliver the others'."""
        if batch.process_id == self._process_id:
            for place, event in enumerate(self._log.awaited.pop(batch.number, ()), 1):
                event.n = batch.before + place
        else:
            events = batch.events()
            for event in events:
                self._take(event)
            self._tail.told(events)
            self._hub.flush()
        self._watermark.heard(batch.last)

    def _take(self, event: Event) -> None:
        if event.name == LOGIN_ENDED:
            self._ended([event.data["login"]])
        else:
            self._hub.offer(event)

    def _lost(self) -> None:
        self._deaf_since = self._deaf_since or time.monotonic() - DEAD_AFTER  # a line may be dead before one knows
        self._log.doubt()

    def _subscribed(self) -> None:
        """Stand where we stood until the tail has found what was told while we did not listen."""
        stood = self._watermark.n(self._hub)
        n = self._log.connect()
        same = self._log.epoch == self._epoch
        self._epoch, self._since = self._log.epoch, time.monotonic()
        self._watermark.reset(n, (stood if same else 0) if self._hub.sessions else None)
        self._tail.look_soon()
        self._returned(self._deaf_since and self._since - self._deaf_since)
        self._deaf_since = 0.0

    def _unread(self) -> None:
        """Stand where we stand until the tail has found what another version of the server said."""
        self._watermark.missed(self._hub)
        self._since = time.monotonic()
        self._tail.look_soon()

    def _mend(self) -> None:
        """Trust Redis again after it was wiped, or a call failed, while the subscription lived on."""
        while True:
            gevent.sleep(MEND_EVERY)
            if self._log.epoch is None and self._broker.subscribed:
                try:
                    self._subscribed()
                except RedisError as error:
                    logger.warning("Redis does not say who it is: %s", error)
