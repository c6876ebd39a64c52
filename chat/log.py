"""The resumable logs in Redis: committed events are numbered, kept for a while, and told to every process, in one call.

Nothing here matters for good: what Redis forgets is read from the database. While it is away events are dropped here,
and the tail carries them. `epoch` names one life of Redis's data; None means doubt.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import gevent
from gevent.event import Event as Signal
from redis import Redis, RedisError

from chat.frames import CONVERSATION, Event
from chat.publishing import Publishing, log_name
from chat.redis_line import RedisLine

__all__ = ["Log", "LogRead"]

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent
CHANGE = Struct("<d")  # the first of what log_publish.lua notes of a log
QUEUED = 20_000  # events that wait for Redis; beyond, it is as good as away and the tail is the shorter way
ANSWER_SECONDS = 2.0  # for what takes a millisecond; later it is as good as away
A_CALL = 1_000  # events of one call: a few ms of Redis


class LogRead(NamedTuple):
    """What the logs hold after a number: events by n, the logs that cannot tell, and where the counter stands."""

    epoch: str
    n: int
    events: list[Event]
    unsure: list[str]


class Log:
    """Publishes this process's events and reads logs."""

    def __init__(self, redis: Redis, config: Mapping[str, Any], process_id: str):
        self._redis = redis
        self._prefix = config["REDIS_PREFIX"]
        self._line = RedisLine(redis, ANSWER_SECONDS)
        self._stale = False  # the line may lead to a Redis that is no more
        self._publishing = Publishing(redis, self._line.ask, config, process_id)
        self.unsaid: Callable[[list[Event]], None] = lambda _: None  # given what no log keeps and nobody was told
        self._read = redis.register_script((HERE / "log_read.lua").read_text())
        self._queue: list[Event] = []
        self._wake = Signal()
        self._batch = 0
        self.epoch: str | None = None
        self.awaited: dict[int, list[Event]] = {}  # batches published and not yet heard back, by their number
        self._lost = False  # events that belong into logs were not published
        self.loops = {"log": self._run}

    def add(self, events: list[Event]) -> bool:
        """Take committed events for publishing; never waits. False: they are not, the tail has to carry them."""
        if self.epoch is None or len(self._queue) > QUEUED:
            self._lose(events)
            return False
        self._queue.extend(events)
        self._wake.set()
        return True

    @property
    def queued(self) -> int:
        """Events that wait to be published."""
        return len(self._queue)

    def settled(self) -> bool:
        """Tell whether every event of this process is published and was heard back."""
        return not self._queue and not self.awaited

    def connect(self) -> int:
        """Trust Redis from now on, and return the last number it gave out. Raises RedisError.

        Where it was wiped, or where this process could not publish something, a new epoch begins: no cursor of before
        can tell then what the logs lack.
        """
        self._redis.set(self._prefix + "event:epoch", secrets.token_hex(4), nx=not self._lost)
        mark, n = self._kept("event:epoch", "event:n")
        run_id = self._redis.info("server")["run_id"]
        self._lost, self._stale = False, True
        self.epoch = f"{(mark or b'').decode()}-{run_id[:8]}"
        return int(n or 0)

    def doubt(self) -> None:
        """Trust Redis no more until `connect`: what was being published counts as lost."""
        if self.epoch is not None:
            self.epoch = None
            self._lose(self._queue)
            for events in self.awaited.values():
                self._lose(events)
            self._queue = []
            self.awaited.clear()

    def _lose(self, events: list[Event]) -> None:
        self._lost = self._lost or any(event.logged for event in events)
        self.unsaid([event for event in events if not event.logged])

    def read(self, names: Mapping[str, int], after: int, most: int) -> LogRead:
        """Read logs after number `after`, at most `most` events (one more means: too many).

        `names` says up to which change the database is known to stand: a log that ends before cannot tell. Raises
        RedisError.
        """
        epoch, n, logs = self._read(args=[self._prefix, after, most, *names])
        events: list[Event] = []
        unsure = []
        for (name, change), found in zip(names.items(), logs, strict=True):
            if not found or int(found[0]) > after or int(found[1]) < change:
                unsure.append(name)
                continue
            try:
                said = [_entry(entry) for entry in found[2]]
            except ValueError:  # by another version of the server
                unsure.append(name)
            else:
                events += said
        events.sort(key=lambda event: event.n)
        return LogRead(f"{epoch.decode()}-{(self.epoch or '-').split('-')[1]}", n, events, unsure)

    def changes(self, conversations: list[int]) -> dict[int, int]:
        """Return the last change of each of these conversations that has a log; nothing while Redis is away."""
        if self.epoch is None or not conversations:
            return {}
        try:
            kept = self._kept(*(f"{log_name(CONVERSATION, number)}:last" for number in conversations))
        except RedisError:
            return {}
        states = zip(conversations, kept, strict=True)
        return {number: int(CHANGE.unpack_from(value)[0]) for number, value in states if value}

    def _kept(self, *names: str) -> list[bytes | None]:
        return self._redis.mget([self._prefix + name for name in names])  # type: ignore[return-value]  # bytes replies

    def _run(self) -> None:
        while True:
            if not self._queue:
                self._wake.clear()
                self._wake.wait()
            events, self._queue = self._queue[:A_CALL], self._queue[A_CALL:]
            if events and self.epoch is not None:
                self._send(events)

    def _send(self, events: list[Event]) -> None:
        if self._stale:
            self._stale = False
            self._line.close()
        self._batch += 1
        self.awaited[self._batch] = events
        try:
            epoch = self._publishing.publish(self._batch, events)
        except RedisError as error:
            logger.warning("Redis did not take %d events: %s", len(events), error)
            self.doubt()
            gevent.sleep(0.05)
            return
        if not epoch or self.epoch is None:
            self.doubt()
        elif not self.epoch.startswith(epoch):
            # Another process began it, and these events are in it.
            self.epoch = f"{epoch}-{self.epoch.split('-')[1]}"


def _entry(entry: tuple[bytes, list[bytes]]) -> Event:
    """Return the event of a log's entry. Raises ValueError for another format."""
    number, fields = entry
    event = Event.read(fields[3], fields[5])
    event.n = int(number.split(b"-")[0])
    return event
