"""A chain of polls: the carrier that keeps what its client has not acknowledged yet, however many polls that takes."""

import time
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

from gevent.event import Event as Signal

from chat.cursor import NONCE, RECENT, Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, Event
from chat.protocols import native
from chat.session import Session, State
from chat.transports.hangup import hang_up

__all__ = ["Chain"]

KEPT = 256  # events kept for the next poll; beyond, it reads the log
LATELY = 2.0  # seconds after which every process has heard of an event, or the tail brings it
MESSAGE = "message"  # comes in the order of its changes, so `seen` says of it what `lately` says of all else


class Told(NamedTuple):
    """An answer: the cursor behind it, as text; up to which event, and of when it is; what it brought, as `seen`."""

    cursor: str
    place: int
    time_us: int
    brought: dict[int, int]


class Waiter(Protocol):
    """A poll that waits."""

    def set(self) -> None:
        """There is something."""


class Chain:
    """The carrier of a chain of polls: collects events, and gives those after the last acknowledged one."""

    __slots__ = (
        "_asked", "_base", "_before", "_count", "_events", "_gone", "_lately", "_new", "_node", "_seen", "_waits",
        "_written", "closed", "login_id", "opened", "polled", "session", "told",
    )  # fmt: skip

    kind = "longpoll"
    provable = False

    def __init__(self, node: Any, cursor: Cursor | None, login_id: int):
        self._node = node
        self.session: Session
        self.login_id = login_id
        self._new = cursor is None
        self._base = cursor or Cursor("", "", 0, 0)  # where the client stands with everything before `_events`
        self._events: list[Event] = []
        self._count = 0  # events acknowledged and let go
        self._asked = 0  # how many have to be until what was handed over is taken; 0: nobody asks
        self._seen: OrderedDict[int, tuple[int, int]] = OrderedDict(self._base.seen)
        # Told by another process: this one may not have heard of it yet. Messages come in order, so one number tells.
        self._before, self._written = frozenset(self._base.lately), self._base.seen
        self._lately = dict.fromkeys(self._base.lately, time.monotonic())  # when what was told lately was
        self._gone = False
        self.told = Told("", 0, 0, {})  # the last answer
        self.closed: Event | None = None
        self.opened = Signal()
        self.polled = time.monotonic()
        self._waits: list[Waiter] = []  # one for each poll that waits

    @property
    def waiting(self) -> int:
        """How many polls are there at this moment: those that wait, or the one that begins the chain."""
        return len(self._waits) or int(not self.opened.is_set())

    def event(self, event: Event) -> None:
        """Keep an event for the poll that waits or the next one; a chain that is not polled is let go."""
        if event.name == "cursor" or (event.name == "hello" and not self._new):
            return
        if event.change and self._was_told(event):
            return
        if len(self._events) >= KEPT and not self.waiting:
            if event.logged:
                self._gone = True
            return
        self._events.append(event)
        self._node.hub.dirty.append(self)

    def live(self) -> None:
        """The session is live: the poll that begins the chain may be answered, if with nothing."""
        self.opened.set()

    def flush(self) -> None:
        """Let the poll that waits be answered."""
        for waiter in self._waits.copy():
            waiter.set()

    def reply(self, number: Any, data: bytes) -> None:
        """No command comes this way."""

    def failure(self, number: Any, error: ChatError) -> None:
        """No command comes this way."""

    def ping(self) -> None:
        """Ask for a proof that what was handed over is taken: the poll that begins the chain may be answered with it.

        The proof is the next poll's cursor.
        """
        if not self._events:  # the client had all of it before
            self._node.proved(self.session)
            return
        self._asked = self._count + len(self._events)
        self.opened.set()

    def look(self) -> None:
        """A poll proves by its cursor only."""

    def pause(self) -> None:
        """No command comes this way."""

    def resume(self) -> None:
        """No command comes this way."""

    def close(self, reason: CloseReason, farewell: Event | None) -> None:
        """Answer the poll that waits with the farewell, if there is one."""
        self.closed = farewell or Event("bye", b'{"code":"%b"}' % reason.code.encode(), "u", 0, logged=False)
        self.flush()
        self.opened.set()

    def acknowledge(self, cursor: Cursor) -> bool:
        """The client has what the cursor says: let it go. False: this chain cannot go on from there."""
        place = cursor.session_id.partition(NONCE)[2]
        return place.isdecimal() and self.take(int(place), cursor.time_us)

    def take(self, place: int, time_us: int) -> bool:
        """The client has all events up to this place, as of that time. False: this chain cannot go on from there."""
        taken = place - self._count
        if self._gone or not 0 <= taken <= len(self._events):
            return False
        self._count = place
        del self._events[:taken]
        if self._asked and self._count >= self._asked:
            self._asked = 0
            self._node.proved(self.session)
        self.session.sent = None
        self.session.taken_us = time_us
        return True

    def wait(self, seconds: float, sock: Any) -> None:
        """Wait until there is something, the time is over, or the client hangs up on its socket."""
        signal = Signal()
        self.join(signal)
        try:
            if not self.ready:
                with hang_up(sock, signal.set):
                    signal.wait(seconds)
        finally:
            self.part(signal)

    @property
    def ready(self) -> bool:
        """Whether there is something for the client."""
        return bool(self._events) or self.closed is not None

    def join(self, waiter: Waiter) -> None:
        """Tell a poll that waits, by `set()`, when there is something."""
        self._waits.append(waiter)

    def part(self, waiter: Waiter) -> None:
        """It waits no more: it is answered, or its client has gone."""
        self._waits.remove(waiter)
        self.polled = self.session.heard = time.monotonic()

    def answer(self, most: int) -> list[bytes]:
        """Return the events that fit into `most` bytes, encoded; `told` says what is behind them. Nothing is let go.

        Behind the last event of a chain that was ended stands the farewell.
        """
        frames: list[bytes] = []
        brought: dict[int, int] = {}
        for event in self._events:
            frame = event.encoded(self.kind, native.encode_event)
            most -= len(frame)
            if frames and most < 0:
                break
            frames.append(frame)
            self._remember(event, brought)
        everything = len(frames) == len(self._events)
        if everything and self.session.state is State.LIVE:
            self._base = self._node.cursor()
        place = self._count + len(frames)
        if everything and self.closed is not None:
            frames.append(native.encode_event(self.closed))
        generation, epoch, n, time_us, *_ = self._base
        named = f"{self.session.id}{NONCE}{place}"
        stands = Cursor(generation, epoch, n, time_us, named, self._seen, self._told_lately())
        self.told = Told(stands.encode(), place, time_us, brought)
        return frames

    def _was_told(self, event: Event) -> bool:
        place = _place(event)
        if event.name == MESSAGE and event.change <= self._written.get(place, (0, 0))[0]:
            return True
        return (place, event.change) in self._before

    def _told_lately(self) -> tuple[tuple[int, int], ...]:
        since = time.monotonic() - LATELY
        return tuple([told for told, moment in self._lately.items() if moment > since]) if self._lately else ()

    def _remember(self, event: Event, brought: dict[int, int]) -> None:
        for place, change, seq in event.told or ((_place(event), event.change, event.seq),):
            if change:
                if event.name != MESSAGE:
                    self._lately[place, change] = time.monotonic()
                if place:
                    brought[place] = max(seq, self._seen.pop(place, (0, 0))[1])
                    self._seen[place] = change, brought[place]
        while len(self._seen) > RECENT:
            self._seen.popitem(last=False)
        while len(self._lately) > RECENT:
            del self._lately[next(iter(self._lately))]


def _place(event: Event) -> int:
    """Return the conversation in which a change has its number, or 0 for the user's own changes."""
    return event.target if event.scope == CONVERSATION else 0
