"""Events between processes: the one subscription of this process, watched so that it cannot die quietly.

Besides everybody's channel a process hears one of its own: what only it asked for would be in everybody's way.

Every batch comes as one message in the order of its numbers: a line that describes it, then two lines per event. One
channel carries all: a process with a few hundred sessions would listen to every one of many channels anyway, and a
conversation nobody here is in costs one look into a dictionary.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import gevent
from redis import RedisError

from chat.frames import FORMAT, Event
from chat.publishing import own_channel
from chat.redis_line import RedisLine

__all__ = ["DEAD_AFTER", "LOOK", "Batch", "Broker"]

logger = logging.getLogger(__name__)
LOOK = 1.0  # seconds after which a line that was silent gives up hearing: time for a look at the clock
PING_EVERY = 2.0  # seconds of silence after which the subscription is tried
DEAD_AFTER = 6.0  # seconds of silence after which it is made anew
LONGEST_PAUSE = 2.0  # seconds between two attempts to subscribe


class Batch:
    """One published batch: whose and which it is, the epoch, the number before its first event, how many, the lines."""

    __slots__ = ("before", "count", "epoch", "lines", "number", "process_id")

    def __init__(self, payload: bytes):
        first, *self.lines = payload.split(b"\n")
        version, epoch, process_id, number, before, count = first.decode().split(" ")
        if version != str(FORMAT):  # another version's batches are left to the tail
            raise ValueError(f"format {version}")
        self.epoch, self.process_id = epoch, process_id
        self.number, self.before, self.count = int(number), int(before), int(count)

    @property
    def last(self) -> int:
        """Number of the last event."""
        return self.before + self.count

    def events(self) -> list[Event]:
        """Return the events, numbered."""
        made = []
        for place in range(0, len(self.lines), 2):
            event = Event.read(self.lines[place], self.lines[place + 1])
            event.n = self.before + place // 2 + 1
            made.append(event)
        return made


class Broker:
    """Hears every batch, over a `line()`. `heard(batch)` must not wait.

    `connected` and `lost` are told of the subscription's state. `posted(data)` is given what comes on the process's own
    channel. `unread()`: a batch came in the format of another version of the server, and was left to the tail.
    """

    def __init__(
        self,
        line: Callable[[], RedisLine],
        prefix: str,
        heard: Callable[[Batch], None],
        connected: Callable[[], None],
        lost: Callable[[], None],
        process_id: str,
        posted: Callable[[bytes], None],
        unread: Callable[[], None],
    ):
        self._line = line
        self._channel = prefix + "events"
        self._own = own_channel(prefix, process_id).encode()
        self._posted, self._unread = posted, unread
        self._heard, self._connected, self._lost = heard, connected, lost
        self.subscribed = False
        self.loops = {"broker": self._run}

    def _run(self) -> None:
        pause = 0.05
        while True:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                logger.warning("The subscription to Redis is lost: %s", error)
            if self.subscribed:
                pause = 0.05
                self.subscribed = False
                self._lost()
            gevent.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _listen(self) -> None:
        """Subscribe and hear until the subscription is silent for too long. Raises RedisError."""
        with closing(self._line()) as line:
            line.say("SUBSCRIBE", self._own, self._channel)
            heard_at = time.monotonic()
            while time.monotonic() - heard_at < DEAD_AFTER:
                message = line.hear()
                if message is not None:
                    heard_at = time.monotonic()
                    self._take(*message)
                elif time.monotonic() - heard_at > PING_EVERY:
                    line.say("PING")

    def _take(self, kind: bytes, channel: bytes, data: Any = None) -> None:
        if kind == b"message":
            try:
                if channel == self._own:
                    self._posted(data)
                else:
                    self._heard(Batch(data))
            except ValueError as error:
                logger.warning("A batch of an unknown kind was left to the tail: %s", error)
                self._unread()
        elif kind == b"subscribe" and channel != self._own:  # of the two the last
            self._connected()
            self.subscribed = True
