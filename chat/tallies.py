"""What users have not read, answered by the database each time: all who ask at one moment, by one statement.

Unread is always what the database says, because it is asked by every answer, and only after the question came: a read
sees its client's own writes, at whatever worker they were made, and no lost event, late publisher or wiped Redis can
make a count wrong. What is kept, here and as `user:unread:{userId}` in Redis, only saves work. A tally carries the
stamp of all that it was counted from; the database compares it with what holds now, and counts anew if they differ. So
one that is old, lost, or another process's costs time and never the truth. A stamp has 64 bits: two states of a user's
conversations share one by chance in 1 of 2**64 cases.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import orjson
from gevent.event import AsyncResult
from gevent.event import Event as Signal
from redis import Redis, RedisError

from chat.errors import ChatError
from chat.ids import conversation_wire_id
from chat.media_address import DAY
from chat.postgres import Lost, Refused, Statement
from chat.previews import Address, Previews
from chat.tally import KEY, KEY_SECONDS, SHOWN, Tally, array, read_tally

__all__ = ["Tallies"]

logger = logging.getLogger(__name__)
SQL = "SELECT chat_unread_1($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"
LANES = 2  # statements in flight: one batch is answered while the database counts the next
AT_ONCE = 64  # users of one statement: some 3 ms of the database, for which the next ones wait
QUEUED = 2_000  # users who wait; beyond, the database needs longer than anybody wants to wait
KEPT_BYTES = 67_108_864  # of answers kept by a process: those of 1,700 users with 50 conversations each
USER_BYTES = 400  # that a kept answer takes beside its text, and ROW_BYTES for each conversation in its tally: measured
ROW_BYTES = 330


class Tallies:
    """The queue of users who ask how much they have not read."""

    def __init__(self, database_url: str, redis: Redis, config: Mapping[str, Any], trusted: Callable[[], bool]):
        self._redis = redis
        self._prefix = config["REDIS_PREFIX"] + KEY
        self._trusted = trusted
        self._previews = Previews(redis, config, trusted)
        self._waiting: dict[int, AsyncResult[bytes]] = {}
        self._wake = Signal()
        self._kept: OrderedDict[int, tuple[Tally, bytes, float]] = OrderedDict()
        self._bytes = 0
        self.counted = 0  # tallies that the database had to count, since the start
        self.answered = 0  # answers given
        statements = [Statement(database_url, SQL, "chat unread") for _ in range(LANES)]
        self.loops = {
            f"unread {lane}": lambda statement=statement: self._run(statement)
            for lane, statement in enumerate(statements)
        }

    def answer(self, user_id: int) -> bytes:
        """Return {total, conversations: {id: {unread, lastMessage}}, notifications}, encoded, as of now or later.

        Only conversations with something unread are named, the newest 1,000 of them, and the newest SHOWN of these have
        their last message; the total counts all. Raises ChatError overloaded.
        """
        waiter = self._waiting.get(user_id)
        if waiter is None:
            if len(self._waiting) >= QUEUED:
                raise ChatError("overloaded", retry_after=1)
            waiter = self._waiting[user_id] = AsyncResult()
            self._wake.set()
        answer: bytes = waiter.get()
        return answer

    def _run(self, statement: Statement) -> None:
        try:
            self._serve(statement)
        finally:
            statement.close()

    def _serve(self, statement: Statement) -> None:
        while True:
            if not self._waiting:
                self._wake.clear()
                self._wake.wait()
            batch = {user_id: self._waiting.pop(user_id) for user_id in list(islice(self._waiting, AT_ONCE))}
            try:
                self._answer(statement, batch)
            except (Lost, Refused) as error:
                logger.warning("%d unread counts could not be read: %s", len(batch), error)
                self._refuse(batch, ChatError("overloaded", retry_after=1))
            except Exception:
                self._refuse(batch, ChatError("internal"))
                raise

    @staticmethod
    def _refuse(batch: Mapping[int, "AsyncResult[bytes]"], error: ChatError) -> None:
        for waiter in batch.values():
            if not waiter.ready():
                waiter.set_exception(error)

    def _answer(self, statement: Statement, batch: Mapping[int, "AsyncResult[bytes]"]) -> None:
        day = time.time() // DAY  # an answer kept is good for as long as the addresses of media in it are the day's
        # Taken out now: while this batch waits, another one's older answer may come to be kept.
        kept = {user: self._kept[user] for user in batch if user in self._kept and self._kept[user][2] == day}
        held = {user: one[0] for user, one in kept.items()}
        lent = self._lent([user for user in batch if user not in held])
        fresh = self._count(statement, batch, held | lent)
        changed = lent | fresh
        found = self._previews.find(_addresses(changed.values()), partial(_entries, statement))
        kept |= {user: (tally, _encoded(tally, found), day) for user, tally in changed.items()}
        for user, waiter in batch.items():
            waiter.set(kept[user][1])
        self.answered += len(batch)
        self.counted += len(fresh)
        self._keep({user: kept[user] for user in changed})
        self._lend(fresh)

    def _lent(self, users: list[int]) -> dict[int, Tally]:
        """Return what other processes left in Redis of these users, as far as it can be read."""
        if not users or not self._trusted():
            return {}
        try:
            values: Any = self._redis.mget([f"{self._prefix}{user}" for user in users])
        except RedisError:
            return {}
        tallies = {user: read_tally(raw) for user, raw in zip(users, values, strict=True)}
        return {user: tally for user, tally in tallies.items() if tally is not None}

    @staticmethod
    def _count(statement: Statement, batch: Mapping[int, Any], held: Mapping[int, Tally]) -> dict[int, Tally]:
        """Have the stamps compared; return the tallies of those whose state is another. Raises Lost or Refused."""
        users = list(batch)
        stamps = [held[user].stamp if user in held else None for user in users]
        rows = orjson.loads(statement.read(array(users), array(stamps), None, None) or b"[]")
        return {user: Tally(*tally) for user, *tally in rows}

    def _keep(self, answers: Mapping[int, tuple[Tally, bytes, float]]) -> None:
        for user, answer in answers.items():
            before = self._kept.pop(user, None)
            self._bytes += _size(answer) - (_size(before) if before else 0)
            self._kept[user] = answer
        while self._bytes > KEPT_BYTES:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= _size(forgotten)

    def _lend(self, tallies: Mapping[int, Tally]) -> None:
        """Leave new tallies in Redis for the other processes."""
        if not tallies or not self._trusted():
            return
        pipeline = self._redis.pipeline(transaction=False)
        for user, tally in tallies.items():
            pipeline.set(f"{self._prefix}{user}", tally.encoded(), ex=KEY_SECONDS)
        try:
            pipeline.execute()
        except RedisError as error:
            logger.info("Redis did not take %d tallies: %s", len(tallies), error)


def _size(kept: tuple[Tally, bytes, float]) -> int:
    return USER_BYTES + ROW_BYTES * len(kept[0].named) + len(kept[1])


def _addresses(tallies: Iterable[Tally]) -> list[Address]:
    shown = (row for tally in tallies for row in tally.named[:SHOWN])
    return [Address(number, change, seq, at_us) for number, _, _, _, change, seq, at_us in shown if seq]


def _entries(statement: Statement, missing: list[Address]) -> list[list[Any]]:
    """Read entries from the database. Raises Lost or Refused."""
    numbers, seqs = [address.conversation for address in missing], [address.seq for address in missing]
    rows: list[list[Any]] = orjson.loads(statement.read(None, None, array(numbers), array(seqs)) or b"[]")
    return rows


def _encoded(tally: Tally, found: Mapping[int, bytes]) -> bytes:
    parts = []
    for place, (number, low, high, unread, _, seq, _) in enumerate(tally.named):
        shown = found.get(number, b"null") if place < SHOWN and seq else b"null"
        name = conversation_wire_id(number, low, high).encode()
        parts.append(b'"%b":{"unread":%d,"lastMessage":%b}' % (name, unread, shown))
    return b'{"total":%d,"conversations":{%b},"notifications":0}' % (tally.total, b",".join(parts))
