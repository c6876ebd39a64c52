"""Long-poll: `GET /api/v1/poll`. A chain of polls is one session; commands go over REST.

Nothing of a chain has to be in this process: the cursor tells any worker what the client has. But while the chain stays
here, its session goes on collecting between two polls, and the next poll is answered from memory.
"""

import random
import time
from collections import OrderedDict
from typing import Any

import gevent
from flask import Flask, Response, current_app, request
from gevent.event import Event as Signal

from chat.cursor import RECENT, Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, Caller, Event
from chat.protocols import native
from chat.rest import SESSION, answer, caller, describe, loaded
from chat.schemas import Text, WholeNumber, WireSchema
from chat.session import Session, State
from chat.sessions import Admitted
from chat.transports.hangup import hang_up

__all__ = ["Chain", "Polls", "mount"]

LINGER = 35.0  # seconds a chain is kept between two polls: a lease
KEPT = 256  # events kept for the next poll; beyond, it reads the log
JITTER = 0.12  # share of its time by which a poll may end early, so that not all come back at once: 3 s of 25
OPEN_SECONDS = 12.0  # for the database to let a session in
LATELY = 2.0  # seconds after which every process has heard of an event, or the tail brings it
NONCE = "~"  # between a chain's id and how many events of it were handed over here


class PollSchema(WireSchema):
    """What a poll takes: the cursor of the answer before, and how long it may be held, in seconds."""

    cursor = Text(4_096, load_default="")
    timeout = WholeNumber(0, 60, load_default=25)


class Chain:
    """The carrier of a chain of polls: collects events, and gives those after the last acknowledged one."""

    __slots__ = (
        "_base", "_count", "_events", "_gone", "_lately", "_new", "_node", "_seen", "_told", "_waits", "closed",
        "login_id", "opened", "polled", "session",
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
        self._seen: OrderedDict[int, tuple[int, int]] = OrderedDict(self._base.seen)
        self._told = frozenset(self._base.lately)  # by another process: this one may not have heard of it yet
        self._lately = dict.fromkeys(self._base.lately, time.monotonic())  # when what was told lately was
        self._gone = False
        self.closed: Event | None = None
        self.opened = Signal()
        self.polled = time.monotonic()
        self._waits: list[Signal] = []  # one for each poll that waits

    @property
    def waiting(self) -> int:
        """How many polls are there at this moment: those that wait, or the one that begins the chain."""
        return len(self._waits) or int(not self.opened.is_set())

    def event(self, event: Event) -> None:
        """Keep an event for the poll that waits or the next one; a chain that is not polled is let go."""
        if event.name == "cursor" or (event.name == "hello" and not self._new):
            return
        if event.change and (_place(event), event.change) in self._told:
            return
        if len(self._events) >= KEPT and not self.waiting:
            if event.logged:
                self._gone = True
            return
        self._events.append(event)
        self._node.hub.dirty.append(self)

    def live(self) -> None:
        """The session is live: the poll that begins the chain may be answered."""
        self.opened.set()

    def flush(self) -> None:
        """Let the poll that waits be answered."""
        for signal in self._waits:
            signal.set()

    def reply(self, number: Any, data: bytes) -> None:
        """No command comes this way."""

    def failure(self, number: Any, error: ChatError) -> None:
        """No command comes this way."""

    def ping(self) -> None:
        """A poll proves by its cursor only."""

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
        if self._gone or not place.isdecimal() or not self._count <= int(place) <= self._count + len(self._events):
            return False
        taken = int(place) - self._count
        self._count += taken
        del self._events[:taken]
        self.session.sent = None
        self.session.taken_us = cursor.time_us
        return True

    def wait(self, seconds: float, sock: Any) -> None:
        """Wait until there is something, the time is over, or the client hangs up on its socket."""
        signal = Signal()
        self._waits.append(signal)
        try:
            if not self._events and self.closed is None:
                with hang_up(sock, signal.set):
                    signal.wait(seconds)
        finally:
            self._waits.remove(signal)
            self.polled = self.session.heard = time.monotonic()

    def taken(self, most: int) -> tuple[list[bytes], Cursor]:
        """Return the events that fit into `most` bytes, encoded, and the cursor behind them. Nothing is let go.

        Behind the last event of a chain that was ended stands the farewell.
        """
        frames: list[bytes] = []
        for event in self._events:
            frame = event.encoded(self.kind, native.encode_event)
            most -= len(frame)
            if frames and most < 0:
                break
            frames.append(frame)
        everything = len(frames) == len(self._events)
        for event in self._events[: len(frames)]:
            self._remember(event)
        if everything and self.session.state is State.LIVE:
            self._base = self._node.cursor()
        place = f"{self.session.id}{NONCE}{self._count + len(frames)}"
        if everything and self.closed is not None:
            frames.append(native.encode_event(self.closed))
        since = time.monotonic() - LATELY
        lately = tuple(told for told, moment in self._lately.items() if moment > since)
        return frames, self._base._replace(session_id=place, seen=dict(self._seen), lately=lately)

    def _remember(self, event: Event) -> None:
        now = time.monotonic()
        for place, change, seq in event.told or ((_place(event), event.change, event.seq),):
            if change:
                self._lately[place, change] = now
                if place:
                    self._seen[place] = (change, max(seq, self._seen.pop(place, (0, 0))[1]))
        while len(self._seen) > RECENT:
            self._seen.popitem(last=False)
        while len(self._lately) > RECENT:
            del self._lately[next(iter(self._lately))]


def _place(event: Event) -> int:
    """Return the conversation in which a change has its number, or 0 for the user's own changes."""
    return event.target if event.scope == CONVERSATION else 0


class Polls:
    """The chains of this process."""

    def __init__(self, node: Any):
        self._node = node
        self._chains: dict[str, Chain] = {}
        self._of_login: dict[int, list[Chain]] = {}
        self._sweeping: Any = None

    def chain(self, cursor: Cursor | None, login_id: int) -> Chain | None:
        """Return the chain that a cursor goes on with, if it is here, of this login, and still complete."""
        chain = self._chains.get(cursor.session_id.partition(NONCE)[0]) if cursor else None
        if chain is None or cursor is None or chain.login_id != login_id:
            return None
        if chain.session.state is State.CLOSED or not chain.acknowledge(cursor):
            self._let_go(chain)
            return None
        return chain

    def begin(self, admitted: Admitted, cursor: Cursor | None, address: str) -> Chain:
        """Begin a chain here, for a client that comes for the first time or from another worker. Raises ChatError."""
        chain = Chain(self._node, cursor, admitted.login_id)
        chain.session = Session(self._node.session_id(), chain, time.monotonic())
        self._chains[chain.session.id] = chain
        self._of_login.setdefault(chain.login_id, []).append(chain)
        self._node.open(chain.session, admitted, "" if cursor is None else cursor.encode(), address)
        self._sweep_soon()
        if not chain.opened.wait(OPEN_SECONDS):
            self._let_go(chain)
            raise ChatError("overloaded", retry_after=1)
        self._thin_out(chain.login_id)
        return chain

    def count(self, login_id: int) -> int:
        """Return how many polls of a login wait here."""
        return sum(chain.waiting for chain in self._of_login.get(login_id, ()))

    def _thin_out(self, login_id: int) -> None:
        """Let go of the chains that a client leaves behind whose polls go now to this process, now to that."""
        idle = [chain for chain in self._of_login.get(login_id, ()) if not chain.waiting]
        for chain in sorted(idle, key=lambda chain: chain.polled)[: -self._node.config["POLLS_PER_LOGIN"]]:
            self._let_go(chain)

    def _let_go(self, chain: Chain) -> None:
        if self._chains.pop(chain.session.id, None) is not None:
            self._of_login[chain.login_id].remove(chain)
            if not self._of_login[chain.login_id]:
                del self._of_login[chain.login_id]
        if chain.session.state is not State.CLOSED:
            self._node.end(chain.session, CloseReason.LOST)

    def _sweep_soon(self) -> None:
        if self._sweeping is None:
            self._sweeping = gevent.spawn(self._sweep)

    def _sweep(self) -> None:
        while self._chains:
            gevent.sleep(1.0)
            limit = time.monotonic() - LINGER
            for chain in [chain for chain in self._chains.values() if not chain.waiting and chain.polled < limit]:
                self._let_go(chain)
        self._sweeping = None


def mount(app: Flask) -> None:
    """Add `GET /api/v1/poll` to the application."""
    polls = Polls(app.extensions["chat.node"])

    @app.get("/api/v1/poll")
    @describe("Wait for events.", request=PollSchema, errors=("too_many_sessions",))
    def poll() -> Response:
        node, who = current_app.extensions["chat.node"], caller()
        asked = loaded(PollSchema)
        cursor = Cursor.decode(asked["cursor"])
        if asked["cursor"] and cursor is None:
            raise ChatError("invalid", details={"cursor": ["Is none of ours."]})
        if polls.count(who.login_id) >= app.config["POLLS_PER_LOGIN"]:
            raise ChatError("too_many_sessions", retry_after=1)
        if cursor is not None:
            _prove(node, who.user_id, cursor)
        chain = polls.chain(cursor, who.login_id)
        if chain is None:
            chain = polls.begin(_admitted(node, who), cursor, request.remote_addr or "")
        seconds = min(asked["timeout"], app.config["POLL_SECONDS"]) * random.uniform(1 - JITTER, 1)  # noqa: S311
        chain.wait(seconds if cursor is not None else 0.0, request.environ.get("chat.socket"))
        frames, stands = chain.taken(app.config["POLL_BYTES"])
        told = answer(b'{"events":[%b],"cursor":"%b"}' % (b",".join(frames), stands.encode().encode()), 200)
        told.headers[SESSION] = chain.session.id  # a chain begun with a cursor gets no hello
        return told


def _admitted(node: Any, who: Caller) -> Admitted:
    if node.draining or not node.generation:
        raise ChatError("going_away", retry_after=1)
    return Admitted(who.public_id, who.login_id)


def _prove(node: Any, user_id: int, cursor: Cursor) -> None:
    """A cursor that comes back proves that the client has what it stands behind."""
    for conversation, (_, seq) in cursor.seen.items():
        if seq:
            node.positions.delivered(user_id, conversation, seq)
