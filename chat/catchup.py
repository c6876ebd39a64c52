"""What a returning client missed: from the logs where they can tell, from the database for the rest.

Reads only; the caller hands the result over in chunks and turns the session live afterwards.
"""

import time
from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from gevent.lock import BoundedSemaphore
from redis import RedisError

from chat.cursor import Cursor
from chat.entries import CHUNK, Parcel, batch, batches, parcels
from chat.errors import ChatError
from chat.frames import CONVERSATION, USER, Event
from chat.ids import conversation_wire_id
from chat.log import Log, LogRead
from chat.postgres import Lost, Refused, Statement
from chat.publishing import log_name

__all__ = ["BUCKET_US", "MARGIN_US", "CatchUp", "Missed", "Place"]

SQL = "SELECT chat_missed_2($1::json)"
MOST_ENTRIES = 1_000  # beyond that a client asks for the newest page of each conversation instead
MOST_BYTES = 1_000_000  # the same in bytes
# Microseconds by which what was committed may be younger than its number: 5 s a statement, 5 s idle, and two clocks.
MARGIN_US = 15_000_000
READERS = 4  # catch-ups that ask the database at a time, each on a connection of its own
ROWS = ("entries", "later", "changed")  # of the database's answer; each row begins with its conversation
BUCKET_US = 8_000_000  # microseconds of one value of `touched`


class Place(NamedTuple):
    """A conversation as it stood when a user's session opened.

    `touched` and `joined` (by this user; 0 if private) in 8 s; `behind`: no device has all of it.
    """

    conversation: int
    touched: int
    behind: bool
    change: int
    visible_from: int
    joined: int


class Missed(NamedTuple):
    """Events to hand over, in order; a parcel is still to be built.

    `resync`: too much, ask anew. `upto`: the number in the log that they reach.
    """

    events: list[Event | Parcel]
    resync: bool
    upto: int


class CatchUp:
    """Reads what a client lacks. `read` waits for Redis and the database."""

    def __init__(self, database_url: str, log: Log, config: Mapping[str, Any]):
        self._log = log
        self._seconds = config["LOG_SECONDS"]
        self._idle = [Statement(database_url, SQL, "chat catch-up") for _ in range(READERS)]
        self._free = BoundedSemaphore(READERS)

    def resumable(self, cursor: Cursor, generation: str) -> bool:
        """Tell whether the logs can be asked with this cursor; else it is in doubt and the database is."""
        young = time.time() - cursor.time_us / 1e6 < self._seconds
        return bool(cursor.generation == generation and self._log.epoch and cursor.epoch == self._log.epoch and young)

    def read(
        self, user_id: int, cursor: Cursor, generation: str, places: Collection[Place], user_touched: int
    ) -> Missed:
        """Return what came after the cursor. `places` are all the user's conversations.

        Of groups that let them in lately the database tells: the process that made the cursor may not have heard of it,
        and have passed by what was said there; messages of private ones name both. Raises ChatError overloaded when the
        database cannot be asked.
        """
        known = {place.conversation for place in places}
        if self.resumable(cursor, generation):
            bucket = (cursor.time_us - MARGIN_US) // BUCKET_US
            recent = {place.conversation: place for place in places if place.touched >= bucket}
            new = {number for number, place in recent.items() if place.joined >= bucket}
            found = self._from_logs(user_id, cursor, {n: place for n, place in recent.items() if n not in new})
            if found is not None:
                return self._completed(user_id, cursor, found, recent, new, user_touched >= bucket)
        n = 0
        if cursor.generation != generation:
            cursor = Cursor(generation, "", 0, cursor.time_us)
        return self._from_database(user_id, cursor, None, known, n, positions=True)

    def build(self, user_id: int, parcel: Parcel) -> Event:
        """Return a batch of missed messages, without those that the user may see no more. Raises ChatError."""
        return batch(self._ask(orjson.dumps({"u": user_id, "k": parcel.keys})), parcel.remaining)

    def positions(self, user_id: int, cursor: Cursor) -> list[Event]:
        """Return how far user and private peers have read, where that moved since the cursor. Raises ChatError."""
        since = max(cursor.time_us - MARGIN_US, 1)
        asked: dict[str, Any] = {"u": user_id, "since": since, "c": [], "p": True, "seen": {}, "most": 0, "whole": 0}
        answer = self._ask(orjson.dumps(asked))
        return [_unread(user_id, row) for row in answer["unread"]] + [
            _receipt(user_id, row) for row in answer["receipts"]
        ]

    def _from_logs(self, user_id: int, cursor: Cursor, recent: Mapping[int, Place]) -> LogRead | None:
        names = {log_name(CONVERSATION, number): place.change for number, place in recent.items()}
        names[log_name(USER, user_id)] = -1  # most of what stands there is no change
        try:
            found = self._log.read(names, cursor.n, MOST_ENTRIES + 1)
        except RedisError:
            self._log.doubt()
            return None
        return found if found.epoch == cursor.epoch and found.n >= cursor.n else None

    def _completed(
        self,
        user_id: int,
        cursor: Cursor,
        found: LogRead,
        recent: Mapping[int, Place],
        new: Container[int],
        user_moved: bool,
    ) -> Missed:
        """Ask the database for those conversations that are new to the user or whose logs could not tell."""
        events = [
            event
            for event in _theirs(user_id, found.events, recent)
            if event.change > cursor.seen.get(event.target, (0, 0))[0] or event.scope != CONVERSATION
        ]
        own = log_name(USER, user_id)
        unsure = [number for number in recent if number in new or log_name(CONVERSATION, number) in found.unsure]
        positions = user_moved and own in found.unsure
        if not unsure and not positions:
            return _bounded(events, found.n)
        rest = self._from_database(user_id, cursor, unsure, recent, found.n, positions=positions)
        return Missed([], True, found.n) if rest.resync else _bounded([*rest.events, *events], found.n)

    def _from_database(
        self, user_id: int, cursor: Cursor, only: list[int] | None, known: Container[int], n: int, *, positions: bool
    ) -> Missed:
        """Read what was missed of `only` these conversations, None: of all, but of none that is not `known`.

        What began after the session was opened comes live from its beginning, and would come twice.
        """
        since = max(cursor.time_us - MARGIN_US, 0) if cursor.time_us else None
        asked = {
            "u": user_id,
            "since": since,
            "c": only,
            "p": positions,
            "seen": {str(conversation): change for conversation, (change, _) in cursor.seen.items()},
            "most": MOST_ENTRIES,
            "whole": CHUNK,
        }
        answer = self._ask(orjson.dumps(asked))
        entries, later, changed = ([row for row in answer[name] if row[0] in known] for name in ROWS)
        if len(entries) + len(later) > MOST_ENTRIES:
            return Missed([], True, n)
        events: list[Event | Parcel] = [*batches(entries, len(later)), *parcels(later)]
        events += [_changed(row) for row in changed]
        if positions:
            events += [_unread(user_id, row) for row in answer["unread"]] + [
                _receipt(user_id, row) for row in answer["receipts"]
            ]
        return _bounded(events, n)

    def _ask(self, question: bytes) -> Any:
        with self._free:
            statement = self._idle.pop()
            try:
                return orjson.loads(statement.read(question) or b"{}")
            except (Lost, Refused) as error:
                raise ChatError("overloaded", retry_after=1) from error
            finally:
                self._idle.append(statement)


def _theirs(user_id: int, events: list[Event], places: Mapping[int, Place]) -> list[Event]:
    """Return what a user may see of the logs, which are everybody's: not what was written while they were not in."""
    came: dict[int, int] = {}
    went: dict[int, int] = {}
    for event in events:
        if user_id in event.added:
            came[event.target] = event.n
            went.pop(event.target, None)
        elif user_id in event.removed:
            went[event.target] = event.n
    return [event for event in events if event.scope != CONVERSATION or _seen(event, places[event.target], came, went)]


def _seen(event: Event, place: Place, came: Mapping[int, int], went: Mapping[int, int]) -> bool:
    begun = event.seq > place.visible_from if event.seq else event.n >= came.get(event.target, 0)
    return begun and event.n < went.get(event.target, event.n + 1)


def _changed(row: list[Any]) -> Event:
    number, low, high, change = row
    data = {"conversationId": conversation_wire_id(number, low, high), "change": change, "kind": "changed"}
    return Event.of("conversation", data, CONVERSATION, number, change=change)


def _unread(user_id: int, row: list[Any]) -> Event:
    number, low, high, read_seq, unread, last_seq = row
    place = conversation_wire_id(number, low, high)
    data = {"conversationId": place, "readSeq": read_seq, "unread": unread, "lastSeq": last_seq}
    return Event.of("unread", data, USER, user_id)


def _receipt(user_id: int, row: list[Any]) -> Event:
    number, low, high, reader, delivered_seq, read_seq = row
    data = {
        "conversationId": conversation_wire_id(number, low, high),
        "userId": reader,
        "deliveredSeq": delivered_seq,
        "readSeq": read_seq,
    }
    return Event.of("receipt", data, USER, user_id)


def _bounded(events: Sequence[Event | Parcel], upto: int) -> Missed:
    size = sum(len(event.raw) if isinstance(event, Event) else event.size for event in events)
    too_much = len(events) > MOST_ENTRIES or size > MOST_BYTES
    return Missed(list(events), too_much, upto)
