"""The last entries of conversations, encoded: what a list of unread conversations shows of each.

A preview is asked for by the conversation's `change` and the time of its last entry, as the database has just told
them. Only an entry that says both of itself is taken: from this process's memory, from `conversation:last:{id}` in
Redis or the conversation's log there, else from the database. So nothing here can be stale, whoever wrote it and when,
and nothing has to be invalidated.

`conversation:last:{id}` is written by the first who asks for it. Written with each message, in the Lua call that
publishes it, it cost a fifth of Redis's work for a message (8.3 instead of 6.9 µs; as a part of what is written anyway
9.1), and most messages are read by everybody before anybody asks what is unread.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from redis import Redis, RedisError

from chat.blocks import ROW, kept_line, line_json
from chat.frames import CONVERSATION
from chat.publishing import log_name
from chat.times import wire_time_us

__all__ = ["KEY", "KEY_SECONDS", "Address", "Previews"]

logger = logging.getLogger(__name__)
KEY = "conversation:last:"  # and the conversation's number: its last entry as it goes out
KEY_SECONDS = 604_800  # of its life
LENT_BYTES = 2_048  # of an entry that is left in Redis: longer ones are few, and cost as much there as they save
MEMORY_BYTES = 33_554_432  # of previews kept by a process: those of 70,000 conversations
ROOM = 200  # bytes that an entry takes beside its text
SIGNED = b'"media":{"id":'


class Address(NamedTuple):
    """Which entry is meant: the conversation, its change, the entry's seq and time (microseconds)."""

    conversation: int
    change: int
    seq: int
    at_us: int


class Previews:
    """Finds previews. `trusted`: whether Redis may be asked, for one that is away answers late."""

    def __init__(self, redis: Redis, config: Mapping[str, Any], trusted: Callable[[], bool]):
        self._redis = redis
        self._prefix = config["REDIS_PREFIX"]
        self._trusted = trusted
        self._kept: OrderedDict[int, tuple[Address, bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, wanted: Iterable[Address], read: Callable[[list[Address]], Iterable[list[Any]]]) -> dict[int, bytes]:
        """Return the entries that are there, encoded, by conversation.

        `read(addresses)` asks the database for the rows of those that are nowhere else.
        """
        asked = {address.conversation: address for address in wanted}
        found = self._from_memory(asked)
        found |= self._from_redis([address for number, address in asked.items() if number not in found])
        missing = [address for number, address in asked.items() if number not in found]
        fresh = {row[0]: kept_line(row) for row in (read(missing) if missing else ())}
        for number, line in fresh.items():
            self._keep(asked[number], line)
        self._lend(fresh)
        found |= fresh
        return {number: line_json(line) for number, line in found.items()}

    def _from_memory(self, asked: Mapping[int, Address]) -> dict[int, bytes]:
        known = ((address, self._kept.get(number)) for number, address in asked.items())
        return {address.conversation: kept[1] for address, kept in known if kept is not None and kept[0] == address}

    def _from_redis(self, missing: list[Address]) -> dict[int, bytes]:
        if not missing or not self._trusted():
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.mget([f"{self._prefix}{KEY}{address.conversation}" for address in missing])
        for address in missing:
            pipeline.xrevrange(f"{self._prefix}{log_name(CONVERSATION, address.conversation)}", count=1)
        try:
            kept, *logs = pipeline.execute()
        except RedisError:
            return {}  # it is away, which others notice; the database knows it all
        found: dict[int, bytes] = {}
        for address, raw, log in zip(missing, kept, logs, strict=True):
            for said in (raw or b"", *(fields.get(b"d", b"") for _, fields in log)):
                if _is_at(said, address):
                    found[address.conversation] = said
                    self._keep(address, said)
        return found

    def _lend(self, lines: Mapping[int, bytes]) -> None:
        """Leave entries in Redis for the other processes."""
        plain = {number: line for number, line in lines.items() if not line.startswith(ROW) and len(line) <= LENT_BYTES}
        if not plain or not self._trusted():
            return
        pipeline = self._redis.pipeline(transaction=False)
        for number, line in plain.items():
            pipeline.set(f"{self._prefix}{KEY}{number}", line, ex=KEY_SECONDS)
        try:
            pipeline.execute()
        except RedisError as error:
            logger.info("Redis did not take %d last entries: %s", len(plain), error)

    def _keep(self, address: Address, line: bytes) -> None:
        before = self._kept.pop(address.conversation, None)
        if before is not None:
            self._bytes -= len(before[1]) + ROOM
        self._kept[address.conversation] = (address, line)
        self._bytes += len(line) + ROOM
        while self._bytes > MEMORY_BYTES:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._bytes -= len(forgotten) + ROOM


def _is_at(raw: bytes, address: Address) -> bool:
    """Tell whether an encoded entry is the one of this address; its time tells the lives of a restored database apart.

    Only what stands where no user writes is believed: the place before the sender, and after everything else the times.
    One with media is not taken: the signature of its addresses may be days old.
    """
    place, _, rest = raw.partition(b',"senderId":')
    _, _, times = rest.rpartition(b'"createdAt":"')
    return (
        place.endswith(b'"seq":%d,"change":%d' % (address.seq, address.change))
        and times.startswith(b'%b"' % wire_time_us(address.at_us).encode())
        and SIGNED not in raw
    )
