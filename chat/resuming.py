"""A session that comes back is handed what it missed, in chunks, and turns live where the hub stands.

It is registered already, so live events are kept meanwhile; the backlog is read and taken, and what came meanwhile and
was not in the backlog follows. From then on events go straight through. Of a long backlog only the numbers are read at
first: each further batch is built, by Celery's worker where there is one, when the one before was taken. That a client
took it is proved by the answer to a ping, or by the cursor of the next poll.
"""

import time
from typing import Any

import gevent
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore

from chat.catchup import BUCKET_US, MARGIN_US, Missed
from chat.cursor import RECENT, Cursor
from chat.entries import CHUNK, CHUNK_BYTES, Parcel
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, Event
from chat.offline import Offline, Patience
from chat.opening import Opened
from chat.session import Session, State

__all__ = ["Resuming", "first_cursor", "lacks"]

AT_ONCE = 64  # sessions that catch up at a time; more than the database answers at once
TAKEN_SECONDS = 30.0  # for a client to take what it was handed
AGAIN = 0.2  # seconds until a database that could not be asked is asked again
LEVEL = 0.02  # seconds between two looks whether the hub has come to where a session stands


def first_cursor(generation: str, opened: Opened) -> Cursor:
    """Where a device stands that brings no cursor: at its last departure, or nowhere (0: what no device has)."""
    return Cursor(generation, "", 0, opened.gone_us or 0)


def lacks(opened: Opened) -> bool:
    """Tell whether a device that brings no cursor may have missed something."""
    if opened.gone_us is None:
        return any(place.behind for place in opened.places)
    bucket = (opened.gone_us - MARGIN_US) // BUCKET_US
    return opened.user_touched >= bucket or any(place.touched >= bucket for place in opened.places)


class _Handed:
    """What a session was handed while it caught up: `told` in single, `upto` the highest change of a conversation.

    `newest` is the highest change that was seen at all: an entry of a batch may have been changed since it was found to
    be missing, and then there may be something between the two.
    """

    def __init__(self, cursor: Cursor, opened: Opened):
        self.patience = Patience()
        self.told: set[tuple[str, int, int]] = set()
        # A cursor that says more than the database held is no proof of anything.
        self.upto = {
            place.conversation: min(cursor.seen[place.conversation][0], place.change)
            for place in opened.places
            if place.conversation in cursor.seen
        }
        self.newest: dict[int, int] = {}

    def has(self, event: Event) -> bool:
        """Tell whether an event was in what was handed over, or is older than that."""
        if event.scope == CONVERSATION and event.name == "message" and event.change <= self.upto.get(event.target, 0):
            return True
        return (event.scope, event.target, event.change) in self.told

    def note(self, event: Event, parcel: Parcel | None = None) -> None:
        """Remember an event that was handed over; `parcel`: what it was built from."""
        if event.change:
            self.told.add((event.scope, event.target, event.change))
        found = {(conversation, seq): change for conversation, seq, change in parcel.keys} if parcel else {}
        told = [*event.told, *([(event.target, event.change, 0)] if event.scope == CONVERSATION else [])]
        for conversation, change, seq in told:
            known = found.get((conversation, seq), change)
            self.told.update(((CONVERSATION, conversation, change), (CONVERSATION, conversation, known)))
            self.upto[conversation] = max(known, self.upto.get(conversation, 0))
            self.newest[conversation] = max(change, self.newest.get(conversation, 0))


class Resuming:
    """Hands over what was missed. `run` waits, in a greenlet of its own."""

    def __init__(self, node: Any):
        self._node = node
        self._places = BoundedSemaphore(AT_ONCE)
        self.offline = Offline(node)

    def run(self, session: Session, cursor: Cursor, opened: Opened) -> None:
        """Bring a session from its cursor to where the hub stands, and turn it live."""
        node = self._node
        handed = _Handed(cursor, opened)
        while session.state is State.CATCHING:
            session.overheard = False
            try:
                with self._places:
                    missed = node.catchup.read(
                        session.caller.user_id, cursor, node.generation, opened.places, opened.user_touched
                    )
            except ChatError:
                gevent.sleep(AGAIN)
                continue
            if missed.resync:
                self._resync(session)
            elif not self._hand_over(session, missed, handed):
                return
            if self._is_level(session, handed):
                self.turn_live(session, handed)
            cursor = cursor._replace(seen=cursor.seen | {place: (change, 0) for place, change in handed.upto.items()})

    def _hand_over(self, session: Session, missed: Missed, handed: _Handed) -> bool:
        """Hand over what was missed by 50 messages, the next once the last were taken. False: the session ended."""
        count = size = 0
        paced = session.carrier.provable or _conversations(missed) <= RECENT
        for event in missed.events:
            if isinstance(event, Parcel):
                if not (self._taken(session, paced) and self._hand_parcel(session, event, handed)):
                    return False
                count, size = len(event.keys), event.size
                continue
            if event.change and handed.has(event):
                continue
            more = len(event.told) or 1
            if count and (count + more > CHUNK or size + len(event.raw) > CHUNK_BYTES):
                if not self._taken(session, paced):
                    return False
                count = size = 0
            count, size = count + more, size + len(event.raw)
            handed.note(event)
            session.hand_over(event)
        self._node.hub.flush()
        return True

    def _hand_parcel(self, session: Session, parcel: Parcel, handed: _Handed) -> bool:
        """Have a batch built and hand it over. False: the session ended."""
        event = self.offline.build(session, parcel, handed.patience)
        if event is None or session.state is not State.CATCHING:
            return False
        handed.note(event, parcel)
        session.hand_over(event)
        return True

    def _is_level(self, session: Session, handed: _Handed) -> bool:
        """Wait until the hub stands where the session was brought to, so that nothing comes a second time.

        False: more came meanwhile than was kept, and has to be read.
        """
        hub = self._node.hub
        places = handed.upto | handed.newest
        for conversation, change in places.items():
            hub.expect(conversation, change)
        while session.state is State.CATCHING and not all(hub.reached(*place) for place in places.items()):
            gevent.sleep(LEVEL)
        return session.state is State.CATCHING and not session.overheard

    def _taken(self, session: Session, paced: bool) -> bool:
        """Wait until the client has proved that it has what it was handed; end it if it does not in 30 s.

        Not `paced`: it is handed everything at once. Its next poll may come to another process, and the cursor cannot
        name so many conversations: there the backlog would begin anew, with each poll.
        """
        if not paced:
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

    def turn_live(self, session: Session, handed: _Handed | None = None) -> None:
        """Hand over what came meanwhile and was not read with the backlog; from here on events go straight through."""
        held, session.held = session.held or [], None
        turns, session.turns = session.turns or {}, None
        session.state = State.LIVE
        if not session.taken_us and session.sent is None and session.proof is None:
            session.taken_us = time.time_ns() // 1_000  # there was nothing to take
        for event in held:
            if not (event.change and handed is not None and handed.has(event)):
                session.hand_over(event)
        for turn in turns.values():
            session.hand_over(turn)
        if held or (handed is not None and handed.told):
            session.carrier.event(self._node.cursor_event())
        session.carrier.live()
        self._node.hub.flush()

    def _resync(self, session: Session) -> None:
        session.carrier.event(Event.resync(session.caller.user_id))


def _conversations(missed: Missed) -> int:
    """Return of how many conversations there is something in what was missed."""
    found = {event.target for event in missed.events if isinstance(event, Event) and event.scope == CONVERSATION}
    for event in missed.events:
        named = event.keys if isinstance(event, Parcel) else event.told
        found.update(conversation for conversation, *_ in named)
    return len(found)
