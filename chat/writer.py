"""Group commit: sends of many connections are written together, one round trip a batch, two batches in flight.

A lone message does not wait for company; under load what came during a commit is the next batch. A conversation is in
one batch in flight, so its messages are stored in the order in which they came. The database's part is in writer.sql.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
import orjson
from gevent.event import Event as Signal

from chat.errors import ChatError
from chat.frames import Event
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.postgres import Lost, Refused, Statement

__all__ = ["Writer"]

log = logging.getLogger(__name__)
SQL = "SELECT chat_write_3($1::json, $2::boolean, $3::boolean, $4::bigint[], $5::bigint[])"
BOOLEAN = b"f", b"t"
LANES = 2  # batches in flight: one is prepared and told while the database works on the other
RESENDS = 5.0  # seconds after a message that was known in which more of them are expected
LONGEST_PAUSE = 0.5  # seconds between two attempts
GIVE_UP = 10.0  # seconds after acceptance at which an unknown outcome is told as such
PATIENCE = 3  # times a conversation may be found locked before it is waited for
NOT_HAD = "55P03"  # lock_timeout
PAIRS_KEPT = 200_000  # private conversations whose number is remembered; about 40 MB
AT_ONCE = {"40001", "40P01", NOT_HAD}  # serialization failure, deadlock, a lock for which it has waited already
DATA = {"22", "23", "54"}  # SQLSTATE classes that are a message's fault; anything else is the database's, and may pass
STORED, KNOWN, BUSY, NOT_A_MEMBER, MUTED, UNKNOWN_USER, NOT_KNOWN, UNKNOWN_MEDIA, ALTERED = range(9)
REFUSALS = {NOT_A_MEMBER: "not_a_member", MUTED: "muted", UNKNOWN_USER: "unknown_user", UNKNOWN_MEDIA: "unknown_media"}


class Writer:
    """The queue of messages and its lanes to the database. `tell` delivers and publishes what was committed."""

    def __init__(self, database_url: str, config: Mapping[str, Any], tell: Callable[[list[Event]], None]):
        self._tell = tell
        self._config = config
        self._statements = [Statement(database_url, SQL, "chat writer") for _ in range(LANES)]
        self._ready: deque[Outgoing] = deque()
        self._parked: dict[tuple[int, int, int], list[Outgoing]] = {}
        self._in_flight: set[tuple[int, int, int]] = set()
        self._waits = False  # whether a lane waits for a lock; the other one goes on with what is not locked
        self._resting: set[tuple[int, int, int]] = set()  # conversations to be waited for when it does no more
        self._waiting: dict[tuple[int, int, int, str, str], Outgoing] = {}
        self._pairs: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._wake = Signal()
        self._resent = -RESENDS  # monotonic time at which a message was last found to be known
        self.queued = 0
        self.queued_bytes = 0
        # (user, conversation, read_seq before): who sends has read what was there, and its authors are to hear of it.
        self.passed: Callable[[int, int, int], None] = lambda *_: None
        self.answered: Callable[[list[Outgoing]], None] = lambda _: None  # for whoever measures
        self.delivered: Callable[[list[Outgoing]], None] = lambda _: None
        self.loops = {
            f"writer {lane}": lambda statement=statement: self._run(statement)
            for lane, statement in enumerate(self._statements)
        }

    def submit(self, message: Outgoing) -> None:
        """Take a message; its `done` is called once it is committed or refused. Raises ChatError overloaded."""
        twin = self._waiting.get(message.identity)
        if twin is not None and not twin.ask_only:
            twin.copies = twin.copies or []
            twin.copies.append(message)
            return
        if self.queued >= self._config["WRITER_QUEUE"] or self.queued_bytes >= self._config["WRITER_QUEUE_BYTES"]:
            raise ChatError("overloaded", retry_after=0.5)
        self._waiting[message.identity] = message
        self.queued += 1
        self.queued_bytes += message.size
        self._ready.append(message)
        self._wake.set()

    def has(self, message: Outgoing) -> bool:
        """Tell whether this message, or one under the same localId, is on its way already."""
        return message.identity in self._waiting

    def origin(self, conversation: int, low: int | None, high: int | None, sender: str, local_id: str) -> str:
        """Return the session here that is to hear of an entry in the database by its reply; '' if none waits."""
        place = (0, low, high) if low and high else (conversation, 0, 0)
        message = self._waiting.get((*place, sender, local_id))
        return message.origin if message is not None else ""

    def idle(self) -> bool:
        """Tell whether nothing waits and nothing is in flight."""
        return not self.queued

    def _run(self, statement: Statement) -> None:
        while True:
            batch, keys = self._take()
            if not batch:
                self._wake.clear()
                self._wake.wait()
                continue
            self._in_flight |= keys
            busy: list[Outgoing] = []
            waiting = len(keys) == 1 and not self._waits
            self._waits |= waiting
            try:
                busy = self._commit(statement, batch, waiting)
            except Exception:
                log.exception("a batch of %d messages failed on our side", len(batch))
                self._abandon(batch)
            finally:
                self._waits &= not waiting
                self._release(keys, busy)

    def _abandon(self, batch: list[Outgoing]) -> None:
        for message in batch:
            if self._waiting.get(message.identity) is message:
                self._answer(message, ChatError("internal"))

    def _take(self) -> tuple[list[Outgoing], set[tuple[int, int, int]]]:
        """Return the next batch and its conversations; a batch of one conversation may wait for its lock.

        One lane waits at a time: a process that froze with the locks of two conversations would stop all others.
        """
        batch: list[Outgoing] = []
        keys: set[tuple[int, int, int]] = set()
        size = 0
        ready, limit, bytes_limit = self._ready, self._config["WRITER_BATCH"], self._config["WRITER_BATCH_BYTES"]
        while ready and len(batch) < limit and size < bytes_limit:
            message = ready.popleft()
            patient = message.busy >= PATIENCE
            if patient and self._waits and message.key not in self._in_flight:
                self._resting.add(message.key)
            if message.key in self._in_flight or message.key in self._resting:
                self._parked.setdefault(message.key, []).append(message)
                continue
            if batch and (patient or batch[0].busy >= PATIENCE) and message.key != batch[0].key:
                ready.appendleft(message)
                break
            batch.append(message)
            keys.add(message.key)
            size += message.size
        return batch, keys

    def _release(self, keys: Iterable[tuple[int, int, int]], busy: list[Outgoing]) -> None:
        """Let conversations go; what was found busy stays ahead of what came later. First come those that rested."""
        rested = set() if self._waits else self._resting
        self._resting = self._resting - rested
        freed = [*self._freed(rested), *busy, *self._freed(keys)]
        self._ready.extendleft(reversed(freed))
        self._in_flight.difference_update(keys)
        if self._ready:
            self._wake.set()

    def _freed(self, keys: Iterable[tuple[int, int, int]]) -> list[Outgoing]:
        return [late for key in keys for late in self._parked.pop(key, ())]

    def _commit(self, statement: Statement, batch: list[Outgoing], waiting: bool) -> list[Outgoing]:
        """Write a batch, again and again while its outcome is not known; return the messages found busy."""
        pause, lost = 0.02, False
        while batch:
            try:
                rows, places, media = self._encoded(batch)
                careful = lost or self._may_be_known(batch)
                answer = statement.run(rows, BOOLEAN[waiting], BOOLEAN[careful], places, media)
            except orjson.JSONEncodeError:  # half a surrogate pair, from a door less strict than orjson
                return self._halve(statement, batch)
            except (Refused, Lost) as error:
                sqlstate = error.sqlstate if isinstance(error, Refused) else ""
                lost = lost or not sqlstate
                if sqlstate[:2] in DATA:
                    return self._halve(statement, batch)
                if waiting and sqlstate == NOT_HAD:
                    return self._put_off(batch)
                if sqlstate not in AT_ONCE:
                    log.warning("%d messages wait for the database: %s", len(batch), sqlstate or error)
                    gevent.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return self._finish(batch, orjson.loads(answer or b"[]"))
            batch = self._drop_overdue(batch)
        return []

    def _may_be_known(self, batch: list[Outgoing]) -> bool:
        """Tell whether to look for each localId first: resends come in crowds, and a batch that finds one is redone."""
        resends = time.monotonic() - self._resent < RESENDS
        return resends or len(batch) == 1 or any(message.ask_only for message in batch)

    def _put_off(self, batch: list[Outgoing]) -> list[Outgoing]:
        """Let others go first: their conversation's lock was not to be had for a second."""
        left = self._drop_overdue(batch)
        for message in left:
            message.busy = PATIENCE
        return left

    def _halve(self, statement: Statement, batch: list[Outgoing]) -> list[Outgoing]:
        """One message's data fails the whole batch: split until the culprit stands alone."""
        if len(batch) == 1:
            self._answer(batch[0], ChatError("invalid", "The database refuses this message."))
            return []
        middle = len(batch) // 2
        busy = self._commit(statement, batch[:middle], waiting=False)
        blocked = {message.key for message in busy}
        later = [message for message in batch[middle:] if message.key in blocked]
        others = [message for message in batch[middle:] if message.key not in blocked]
        return busy + later + self._commit(statement, others, waiting=False)

    def _drop_overdue(self, batch: list[Outgoing]) -> list[Outgoing]:
        limit = time.monotonic() - GIVE_UP
        for message in batch:
            if message.accepted < limit:
                self._answer(message, ChatError("unavailable", retry_after=2))
        return [message for message in batch if message.accepted >= limit]

    def _encoded(self, batch: list[Outgoing]) -> tuple[bytes, bytes | None, bytes | None]:
        """Return the batch, its conversations if all their numbers are known, and its uploads if there are any."""
        rows, media = [], set()
        for place, message in enumerate(batch):
            row = message.row(place)
            if not message.group:
                row["c"] = self._pairs.get((message.low, message.high))
                if row["c"] is None:
                    row["lo"], row["hi"] = message.low, message.high
            if message.ask_only:
                row["q"] = True
            if message.media:
                row["m"] = message.media
                media.add(message.media)
            rows.append(row)
        places = {row["c"] for row in rows}
        return orjson.dumps(rows), None if None in places else _array(places), _array(media) if media else None

    def _finish(self, batch: list[Outgoing], rows: list[list[Any]]) -> list[Outgoing]:
        """Answer every message of a committed batch, tell the new ones, and return those found busy, in order."""
        events: list[Event] = []
        busy: list[Outgoing] = []
        for row in sorted(rows):  # by place: answers leave in the order in which the messages came
            message = batch[row[0]]
            verdict = row[1]
            if verdict == STORED:
                events.append(self._stored(message, row))
            elif verdict == BUSY:
                message.busy += 1
                busy.append(message)
            elif verdict in (KNOWN, ALTERED):
                self._resent = time.monotonic()
                self._answer(message, self._known(message, row))
            else:
                self._answer(message, message.refusal or ChatError(REFUSALS[verdict]))
        self.answered(batch)
        self._tell(events)
        self.delivered(batch)
        return busy

    def _stored(self, message: Outgoing, row: list[int]) -> Event:
        _, _, number, seq, change, stamp, version, _, read_seq = row
        if read_seq < seq - 1:
            self.passed(message.sender_id, number, read_seq)
        if not message.group:
            self._learn((message.low, message.high), number)
        event = message.event(number, seq, change, stamp, version)
        self._answer(message, Sent(event.raw, known=False))
        return event

    def _known(self, message: Outgoing, row: list[Any]) -> Sent | ChatError:
        """Return the answer to a resend: of what has media or has changed, the message as it stands in the database."""
        _, _, number, seq, change, stamp, _, digest, _, *altered = row
        if digest != message.digest:
            return ChatError("local_id_conflict")
        if altered:
            message.type, message.content, message.body, *altered = altered
        return Sent(message.json(number, seq, change, stamp, *altered), known=True)

    def _answer(self, message: Outgoing, answer: Sent | ChatError) -> None:
        """Call `done` of a message and of its copies, which share the one answer unless their content differs."""
        self._waiting.pop(message.identity, None)
        self.queued -= 1
        self.queued_bytes -= message.size
        message.done(answer)
        for copy in message.copies or ():
            if isinstance(answer, Sent):
                copy.done(
                    answer._replace(known=True) if copy.digest == message.digest else ChatError("local_id_conflict")
                )
            else:
                copy.done(answer)

    def _learn(self, pair: tuple[int, int], number: int) -> None:
        if pair not in self._pairs:
            self._pairs[pair] = number
            if len(self._pairs) > PAIRS_KEPT:
                self._pairs.popitem(last=False)


def _array(numbers: Iterable[Any]) -> bytes:
    return b"{%b}" % b",".join(b"%d" % number for number in numbers)
