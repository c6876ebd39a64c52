"""A session that comes back is handed what it missed, in chunks, and turns live where the hub stands.

It is registered already, so live events are kept meanwhile; the backlog is read and taken, and what came meanwhile and
was not in the backlog follows. From then on events go straight through.
"""

import time
from typing import Any

import gevent
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore

from chat.catchup import CHUNK, MARGIN_US, Missed
from chat.cursor import Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, USER, Event
from chat.opening import Opened
from chat.session import Session, State

__all__ = ["Resuming", "first_cursor", "lacks"]

AT_ONCE = 64  # sessions that catch up at a time; more than the database answers at once
TAKEN_SECONDS = 30.0  # for a client to take what it was handed
AGAIN = 0.2  # seconds until a database that could not be asked is asked again
BUCKET_US = 8_000_000  # microseconds of one value of `touched`


def first_cursor(generation: str, opened: Opened) -> Cursor:
    """Where a device stands that brings no cursor: at its last departure, or nowhere (0: what no device has)."""
    return Cursor(generation, "", 0, opened.gone_us or 0)


def lacks(opened: Opened) -> bool:
    """Tell whether a device that brings no cursor may have missed something."""
    if opened.gone_us is None:
        return any(behind for _, _, behind in opened.heads)
    bucket = (opened.gone_us - MARGIN_US) // BUCKET_US
    return opened.user_touched >= bucket or any(touched >= bucket for _, touched, _ in opened.heads)


class Resuming:
    """Hands over what was missed. `run` waits, in a greenlet of its own."""

    def __init__(self, node: Any):
        self._node = node
        self._places = BoundedSemaphore(AT_ONCE)

    def run(self, session: Session, cursor: Cursor, opened: Opened) -> None:
        """Bring a session from its cursor to where the hub stands, and turn it live."""
        node = self._node
        heads = [(conversation, touched) for conversation, touched, _ in opened.heads]
        told: set[tuple[str, int, int]] = set()
        while session.state is State.CATCHING:
            session.overheard = False
            try:
                with self._places:
                    missed = node.catchup.read(
                        session.caller.user_id, cursor, node.generation, heads, opened.user_touched
                    )
            except ChatError:
                gevent.sleep(AGAIN)
                continue
            if missed.resync:
                self._resync(session)
            elif not self._hand_over(session, missed, told):
                return
            if not session.overheard:
                self.turn_live(session, told)
            cursor = cursor._replace(
                seen={**cursor.seen, **{target: (change, 0) for scope, target, change in told if scope == CONVERSATION}}
            )

    def _hand_over(self, session: Session, missed: Missed, told: set[tuple[str, int, int]]) -> bool:
        """Hand over what was missed by 50 messages, the next once the last were taken. False: the session ended."""
        waiting = 0
        for event in missed.events:
            if (event.scope, event.target, event.change) in told:
                continue
            if waiting and waiting + (len(event.told) or 1) > CHUNK:
                if not self._taken(session):
                    return False
                waiting = 0
            waiting += len(event.told) or 1
            told.update([(CONVERSATION, conversation, change) for conversation, change, _ in event.told])
            if event.change:
                told.add((event.scope, event.target, event.change))
            session.hand_over(event)
        self._node.hub.flush()
        return True

    def _taken(self, session: Session) -> bool:
        """Wait until the client has proved that it has what it was handed; end it if it does not in 30 s."""
        if not session.carrier.provable:
            return session.state is not State.CLOSED
        signal = Signal()
        session.taken = signal.set
        session.proof, session.sent = {**(session.proof or {}), **(session.sent or {})}, None
        session.asked, session.asked_us = time.monotonic(), session.taken_us
        session.carrier.ping()
        self._node.hub.flush()
        if not signal.wait(TAKEN_SECONDS):
            self._node.end(session, CloseReason.LOST)
        return session.state is not State.CLOSED

    def turn_live(self, session: Session, told: set[tuple[str, int, int]]) -> None:
        """Hand over what came meanwhile and was not read with the backlog; from here on events go straight through."""
        held, session.held = session.held or [], None
        session.state = State.LIVE
        session.taken_us = session.taken_us or time.time_ns() // 1_000
        for event in held:
            if not event.change or (event.scope, event.target, event.change) not in told:
                session.hand_over(event)
        if told or held:
            session.carrier.event(self._node.cursor_event())
        session.carrier.live()
        self._node.hub.flush()

    def _resync(self, session: Session) -> None:
        session.carrier.event(Event("resync", b"{}", USER, session.caller.user_id, logged=False))
