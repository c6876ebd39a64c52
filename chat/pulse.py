"""One look a second at every session: pings to the quiet, proofs for the busy, an end for the lost and the idle."""

import time
from collections.abc import Callable

import gevent

from chat.errors import CloseReason
from chat.frames import Event
from chat.hub import Hub
from chat.session import Session, State

__all__ = ["Pulse"]

EVERY = 1.0  # seconds between two looks at a session: receipts are merged to one a second anyway
ANSWER = 10.0  # seconds a ping may stay unanswered: with the 25 s before it, one lease
UNPROVED = 30.0  # seconds until what was handed over and not proved counts as not taken
BREATH = 2_000  # sessions between two looks at everybody else: 1 ms


class Pulse:
    """Watches the hub's sessions. `end(session, reason)`; `cursor()` makes the event that tells where they stand."""

    def __init__(
        self,
        hub: Hub,
        ping_seconds: int,
        idle_hours: int,
        end: Callable[[Session, CloseReason], None],
        alive: Callable[[str], None],
        cursor: Callable[[], Event],
    ):
        self._hub = hub
        self._quiet = float(ping_seconds)
        self._idle = idle_hours * 3_600.0
        self._end, self._alive, self._cursor = end, alive, cursor
        self._last_look = 0.0
        self.loops = {"pulse": self._run}

    def _run(self) -> None:
        while True:
            gevent.sleep(EVERY)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Look at every session once."""
        cursor = None
        before, self._last_look = self._last_look, now
        for place, session in enumerate(list(self._hub.sessions.values()), 1):
            if session.heard >= before:
                self._alive(session.id)
            if session.state is State.LIVE and session.sent and session.proof is None:
                cursor = cursor or self._cursor()
                self._ask_proof(session, now, cursor)
            elif session.state is not State.CLOSED:
                self._check_life(session, now)
            if not place % BREATH:
                self._hub.flush()
                gevent.sleep(0)
        self._hub.flush()

    def _ask_proof(self, session: Session, now: float, cursor: Event) -> None:
        """Ask for one sign of life behind everything handed over since the last; it proves that all of it was taken."""
        if session.carrier.provable:
            session.proof, session.sent = session.sent, None
            session.asked = now
            session.asked_us = time.time_ns() // 1_000
            session.carrier.event(cursor)
            session.carrier.ping()
        elif now - session.heard > UNPROVED:
            session.sent = None

    def _check_life(self, session: Session, now: float) -> None:
        carrier = session.carrier
        if not carrier.provable:
            return
        if session.asked > session.heard:
            carrier.look()
        silent = now - session.heard
        if silent > self._quiet + ANSWER or (session.proof is not None and now - session.asked > UNPROVED):
            self._end(session, CloseReason.LOST)
        elif silent > self._quiet and session.asked < session.heard:
            session.asked = now
            carrier.ping()
        elif self._idle and now - session.commanded > self._idle:
            self._end(session, CloseReason.IDLE)
