"""Delivered and read positions: coalesced, and written by one greenlet per process in one round trip a flush.

What comes during a flush is the next one: a lone `read` does not wait for company, thousands of `delivered` cost one
call. Writing the same positions twice changes nothing, so whatever fails is simply written again. The database's part
is in positions.sql; what others are told of it goes out after the commit.
"""

import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import gevent
import orjson
from gevent.event import AsyncResult
from gevent.event import Event as Signal

from chat.errors import ChatError
from chat.frames import USER, Event
from chat.ids import conversation_wire_id
from chat.position_batch import LAST, Batch, Key, Reading, Row
from chat.postgres import Lost, Refused, Statement
from chat.receipts import Receipt, Receipts

__all__ = ["Positions"]

SQL = "SELECT chat_positions_2($1::json)"
QUEUE = 20_000  # positions of a kind that wait; beyond, reads are refused, and `delivered` comes with the next evidence
BATCH = 250  # positions of one call: some 5 ms, for which the next reader waits, and who writes in these conversations
DELIVERED_SECONDS = 1.5  # in which delivered positions gather: with the call itself they are written within 2 s
BUSY_SECONDS = 0.01  # before a row that somebody had locked is tried again: a batch of messages takes 2 ms
GIVE_UP = 10.0  # seconds until a read is answered `unavailable`; it is written all the same once the database is back
LONGEST_PAUSE = 1.0  # seconds between two tries while the database is away
STOP_SECONDS = 2.0  # for which stopping waits for a database that is away
TRANSIENT = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available: another try may pass

log = logging.getLogger(__name__)


class Positions:
    """The positions of this process's users on their way to the database. The node runs `loops`.

    `tell` delivers and publishes committed events; `clock` gives seconds.
    """

    def __init__(
        self, database_url: str, tell: Callable[[list[Event]], None], clock: Callable[[], float] = time.monotonic
    ):
        self._statement = Statement(database_url, SQL, "chat positions")
        self._tell = tell
        self._clock = clock
        self._readings: dict[Key, Reading] = {}
        self._delivered: dict[Key, int] = {}
        self._passed: dict[Key, int] = {}  # read positions before members sent messages, whose authors are to be told
        self._due = 0.0  # when what is in `_delivered` and `_passed` is to be written
        self._ripe: tuple[dict[Key, int], dict[Key, int]] = {}, {}  # of both, what is being written
        self._pause = 0.0  # before the next try, while the database is away or rows are busy
        self._most = BATCH
        self._receipts = Receipts(clock)
        self._wake = Signal()
        self._stopping = False
        self._ended = Signal()
        self._ended.set()
        self.loops: dict[str, Callable[[], None]] = {"positions": self._run}

    def __len__(self) -> int:
        """Return how many positions wait."""
        return len(self._readings) + sum(map(len, (self._delivered, self._passed, *self._ripe)))

    def read(self, user_id: int, conversation_id: int, seq: int | None = None, origin: str = "") -> dict[str, Any]:
        """Move a member's read position up to `seq` (None: the last entry), and wait until it is committed.

        Returns {conversationId, readSeq, unread, lastSeq} and, if it moved, `userChange`; a seq that is not ahead moves
        nothing. `origin` is the session that gets this as its reply; the user's others are told. Raises ChatError
        not_a_member, overloaded, or unavailable when the database does not answer: it may be written later.
        """
        (answer,) = self.read_many(user_id, [(conversation_id, seq)], origin)
        if isinstance(answer, ChatError):
            raise answer
        return answer

    def read_many(
        self, user_id: int, places: Iterable[tuple[int, int | None]], origin: str = ""
    ) -> list[dict[str, Any] | ChatError]:
        """Read in several conversations, (conversation, seq or None) each. Returns an answer or a refusal for each.

        Raises ChatError overloaded, and nothing was done.
        """
        wanted = list(places)
        if len(self._readings) + len(wanted) > QUEUE:
            raise ChatError("overloaded", retry_after=1)
        end = self._clock() + GIVE_UP
        asked = [((place, user_id), self._ask((place, user_id), seq, origin)) for place, seq in wanted]
        return [self._answer(key, waiter, end) for key, waiter in asked]

    def delivered(self, user_id: int, conversation_id: int, seq: int) -> None:
        """Note that a member has everything up to `seq`. Never waits; who is no member is passed over in silence."""
        key = (conversation_id, user_id)
        known = self._delivered.get(key)
        if known is None:
            self._first_delivered(key, seq)
        elif seq > known:
            self._delivered[key] = seq

    def passed(self, user_id: int, conversation_id: int, read_seq: int) -> None:
        """Note that a member sent a message, which read what stood after `read_seq`: its authors are to be told."""
        key = (conversation_id, user_id)
        if key not in self._passed:
            if len(self._passed) >= QUEUE:
                del self._passed[next(iter(self._passed))]
            self._wait_for_company()
            self._passed[key] = read_seq
        elif read_seq < self._passed[key]:
            self._passed[key] = read_seq

    def stop(self) -> None:
        """Write what waits, and end the loop."""
        self._stopping = True
        self._wake.set()
        self._ended.wait(GIVE_UP)

    def _ask(self, key: Key, seq: int | None, origin: str) -> "AsyncResult[Any]":
        waiter: AsyncResult[Any] = AsyncResult()
        reading = Reading(seq, origin)
        reading.waiters.append(waiter)
        self._queue(key, reading)
        self._wake.set()
        return waiter

    def _answer(self, key: Key, waiter: "AsyncResult[Any]", end: float) -> dict[str, Any] | ChatError:
        waiter.wait(max(0.0, end - self._clock()))
        if waiter.ready():
            answer: dict[str, Any] | ChatError = waiter.get()
            return answer
        reading = self._readings.get(key)
        if reading is not None and waiter in reading.waiters:
            reading.waiters.remove(waiter)
            reading.origin = ""  # no reply came of it, so that session is to be told like the others
        return ChatError("unavailable", retry_after=2)

    def _queue(self, key: Key, reading: Reading) -> None:
        queued = self._readings.get(key)
        if queued is None:
            self._readings[key] = reading
        else:
            queued.merge(reading)

    def _first_delivered(self, key: Key, seq: int) -> None:
        if len(self._delivered) >= QUEUE:
            del self._delivered[next(iter(self._delivered))]
        self._wait_for_company()
        self._delivered[key] = min(seq, LAST)

    def _wait_for_company(self) -> None:
        """Begin to wait for more, if this is the first."""
        if not self._delivered and not self._passed:
            self._due = self._clock() + DELIVERED_SECONDS
            self._wake.set()

    def _run(self) -> None:
        self._ended.clear()
        try:
            while not self._stopping:
                self._wake.wait(self._rest())
                self._wake.clear()
                self._step(self._clock())
            end = self._clock() + STOP_SECONDS
            while self and self._clock() < end:
                self._step(self._due)
        finally:
            self._statement.close()
            self._ended.set()

    def _rest(self) -> float | None:
        """Return the seconds until there is something to do; None: until somebody comes."""
        if self._readings or any(self._ripe):
            return 0.0
        gathering = self._delivered or self._passed
        rests = [self._receipts.rest(), max(0.0, self._due - self._clock()) if gathering else None]
        return min((rest for rest in rests if rest is not None), default=None)

    def _step(self, now: float) -> None:
        self._flush(self._take(now))
        self._say(self._receipts.ripe())
        if self._pause:
            gevent.sleep(self._pause)

    def _take(self, now: float) -> Batch:
        """Return the next batch: the readings, and the delivered positions if their time has come."""
        self._ripen(now)
        readings = _oldest(self._readings, self._most)
        delivered, passed = self._ripe
        if delivered or passed:
            most = max(self._most - len(readings), self._most // 2, 1)
            return Batch(readings, _oldest(delivered, most), _oldest(passed, most))
        return Batch(readings, {key: self._delivered.pop(key) for key in readings if key in self._delivered})

    def _ripen(self, now: float) -> None:
        """Begin to write what has gathered. What comes meanwhile gathers anew: else, under load, nothing ever would."""
        if self._due <= now and not any(self._ripe):
            self._ripe, self._delivered, self._passed = (self._delivered, self._passed), {}, {}

    def _put_back(self, batch: Batch) -> None:
        for key, reading in batch.readings.items():
            self._queue(key, reading)
        for key, seq in batch.delivered.items():
            self.delivered(key[1], key[0], seq)
        for key, seq in batch.passed.items():
            self.passed(key[1], key[0], seq)

    def _flush(self, batch: Batch) -> None:
        if not batch:
            return
        try:
            answer = self._statement.run(batch.encoded())
        except Lost:
            self._put_back(batch)
            self._pause = min(max(self._pause * 2, 0.05), LONGEST_PAUSE)
            self._most = max(self._most // 2, 1)  # should it be the batch that takes the database too long
        except Refused as error:
            self._refused(batch, error)
        else:
            self._pause = 0.0
            self._most = min(self._most * 2, BATCH)
            self._finish(batch, orjson.loads(answer or b"{}"))

    def _refused(self, batch: Batch, error: Refused) -> None:
        if error.sqlstate in TRANSIENT:
            self._put_back(batch)
            self._pause = BUSY_SECONDS
        elif len(batch) > 1:
            for half in batch.halves():
                self._flush(half)
        else:
            log.error("The database refuses a position: %s", error)
            for reading in batch.readings.values():
                reading.answer(ChatError("internal"))

    def _finish(self, batch: Batch, answer: dict[str, Any]) -> None:
        """Answer who waits, then tell the others what was committed; what was busy goes back to the queue."""
        events: list[Event] = []
        changes = {int(user): change for user, change in answer["changes"].items()}
        for row in map(Row._make, reversed(answer["rows"])):
            events += self._read_further(batch.readings.pop((row.conversation, row.user), None), row, changes)
            events += self._receipt(row)
        busy = {(conversation, user) for conversation, user in answer["busy"]}
        for key, reading in batch.readings.items():
            if key not in busy:
                reading.answer(ChatError("not_a_member"))
        if busy:
            self._put_back(batch.part(busy))
            self._due = self._clock() + BUSY_SECONDS
            self._pause = BUSY_SECONDS
        self._say(events)

    def _read_further(self, reading: Reading | None, row: Row, changes: dict[int, int]) -> list[Event]:
        """Answer the sessions that wait for this row, and return the event for the user's others."""
        if reading is None:
            return []
        place = conversation_wire_id(row.conversation, row.low, row.high)
        data = {"conversationId": place, "readSeq": row.read_seq, "unread": row.unread, "lastSeq": row.last_seq}
        events = []
        if row.moved:
            change = data["userChange"] = changes[row.user]
            changes[row.user] -= 1
            events.append(Event.of("unread", data, USER, row.user, change=change, origin=reading.origin))
        reading.answer(data)
        return events

    def _receipt(self, row: Row) -> list[Event]:
        if not row.authors or row.member is None:
            return []
        place = conversation_wire_id(row.conversation, row.low, row.high)
        return self._receipts.offer(Receipt(place, row.member, row.told_read, row.told_delivered, row.authors))

    def _say(self, events: list[Event]) -> None:
        if events:
            self._tell(events)


def _oldest(queue: dict[Key, Any], most: int) -> dict[Key, Any]:
    """Take the oldest of a queue out of it."""
    return {key: queue.pop(key) for key in list(islice(queue, most))}
