"""Pages of history, read through the tiers: the database says what has changed since, blocks say the rest.

Right by construction: a block carries the conversation's `change` of the snapshot that its rows were read in, and each
change of an entry gets a higher one, under the conversation's lock. So the one query that a page owes anyway (is this a
member, what may they see, where does the conversation end) also tells every entry of the page that is not as in the
blocks at hand, from one snapshot of its own. A block that was filled late with old rows, came back with an old snapshot
of Redis, or was never demoted makes that query longer, and the page no different. What may be seen is decided by the
query alone: a block holds what is the same for everybody.

What it saves: no statement, for one is always owed. Of a page of 50 entries read again PostgreSQL does half the work,
and sends 140 bytes instead of 15,000; Redis has a little more to do, and this process as much as without.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from redis import Redis, RedisError

from chat.blocks import BLOCK, Block, block_of, kept_line, line_json
from chat.errors import ChatError
from chat.ids import parse_conversation
from chat.postgres import Lost, Refused, Statement
from chat.tiers import LONGEST, Tiers

__all__ = ["Bounds", "Pages", "Readers"]

logger = logging.getLogger(__name__)
SQL = "SELECT chat_history_1($1::json)"
READERS = 2  # pages read at a time, each over a connection of its own; one takes a millisecond
WAITING = 500  # who would wait for longer than half a second is told so
ANSWER_BYTES = 131_072  # of all the entries of an answer, about: half of what may wait for a slow client (OUTBOX_BYTES)
WORTH = 16  # entries from which on a block is kept, and read whole for a page: fewer are read from the database as fast
STALE = 8  # entries that are not as in a block at which it is kept anew: writing 30 kB is dearer than reading a few
FILLS = 200  # blocks that wait to be kept; beyond, the oldest are not: who asks for them next reads them again
PLACED = 20_000  # conversations whose number and last entry are remembered; about 4 MB


class Bounds(NamedTuple):
    """Which entries are wanted: the newest before `before`, or with `after` the oldest after it; at most `limit`."""

    before: int | None
    after: int | None
    limit: int


class Readers:
    """Connections that read pages. `ask` waits."""

    def __init__(self, database_url: str):
        self._idle = [Statement(database_url, SQL, "chat history") for _ in range(READERS)]
        self._free = BoundedSemaphore(READERS)
        self._waiting = 0

    def ask(self, question: bytes) -> bytes | None:
        """Return the function's answer. Raises ChatError overloaded."""
        if self._waiting >= WAITING:
            raise ChatError("overloaded", retry_after=1)
        self._waiting += 1
        try:
            with self._free:
                statement = self._idle.pop()
                try:
                    return statement.read(question)
                except (Lost, Refused) as error:
                    raise ChatError("overloaded", retry_after=1) from error
                finally:
                    self._idle.append(statement)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Hang up."""
        for statement in self._idle:
            statement.close()


class Pages:
    """Reads pages for anybody. `ask(question)` is the database; `generation()` says which one, nothing: unknown.

    Without `tiers` nothing is kept. The node runs `loops`.
    """

    def __init__(
        self, ask: Callable[[bytes], bytes | None], tiers: Tiers | None = None, generation: Callable[[], str] = str
    ):
        self._ask, self._tiers, self._generation = ask, tiers, generation
        self._placed: OrderedDict[tuple[int, int, int], tuple[int, int]] = OrderedDict()
        self._fills: deque[tuple[int, dict[int, Block | None]]] = deque(maxlen=FILLS)
        self._wake = Signal()
        self.loops = {"blocks": self._run}

    @classmethod
    def over(
        cls, config: Mapping[str, Any], redis: Redis, trusted: Callable[[], bool], generation: Callable[[], str]
    ) -> "Pages":
        """Return those of a process; `trusted`: whether Redis may be asked."""
        return cls(Readers(config["DATABASE_URL"]).ask, Tiers(redis, config, trusted), generation)

    @property
    def found(self) -> Mapping[str, int]:
        """How many blocks were looked for, by the tier that had them; none: the database was asked."""
        return {} if self._tiers is None else self._tiers.found

    def page(self, user_id: int, wire_id: str, bounds: Bounds) -> dict[str, Any]:
        """Return {messages, hasMore}, rising; fewer than asked for if they are long.

        Raises ChatError not_a_member or overloaded.
        """
        place = parse_conversation(wire_id)
        known = self._at_hand(place, bounds)
        answer = self._read(user_id, place, bounds, known)
        lines = _laid_over(answer, known)
        if lines is None:
            logger.warning("Blocks of conversation %d make no sense; the database is asked for all", answer["c"])
            answer = self._read(user_id, place, bounds, {})
            lines = _laid_over(answer, {}) or {}
        self._place(place, answer)
        self._fill(answer, known, lines)
        messages, whole = _fitting(lines, forward=bounds.after is not None)
        return {"messages": messages, "hasMore": answer["more"] or not whole}

    def _at_hand(self, place: tuple[int, int, int], bounds: Bounds) -> dict[int, Block]:
        """Return the blocks that the page is expected in. A wrong guess costs nothing but its use."""
        generation = self._generation()
        number, last = self._placed.get(place, (0, 0))
        if self._tiers is None or not number or not generation:
            return {}
        if bounds.after is not None:
            first = bounds.after + 1
            last = min(last, bounds.after + bounds.limit)
        else:
            last = min(last, (bounds.before or last + 1) - 1)
            first = last - bounds.limit + 1
        if last < 1 or last < first:
            return {}
        found = self._tiers.find(number, range(block_of(max(first, 1)), block_of(last) + 1))
        return {block: one for block, one in found.items() if one.generation == generation}

    def _read(
        self, user_id: int, place: tuple[int, int, int], bounds: Bounds, known: Mapping[int, Block]
    ) -> dict[str, Any]:
        question = {
            "u": user_id,
            "g": place[0],
            "lo": place[1],
            "hi": place[2],
            "before": bounds.before,
            "after": bounds.after,
            "most": bounds.limit,
            "whole": self._keeps() and bounds.limit >= WORTH,
            "known": [{"b": block, "x": one.change, "f": one.first, "l": one.last} for block, one in known.items()],
        }
        raw = self._ask(orjson.dumps(question))
        if raw is None:
            raise ChatError("not_a_member")
        answer: dict[str, Any] = orjson.loads(raw)
        return answer

    def _keeps(self) -> bool:
        return self._tiers is not None and bool(self._generation()) and self._tiers.trusted()

    def _place(self, place: tuple[int, int, int], answer: Mapping[str, Any]) -> None:
        self._placed[place] = (answer["c"], answer["last"])
        self._placed.move_to_end(place)
        if len(self._placed) > PLACED:
            self._placed.popitem(last=False)

    def _fill(self, answer: Mapping[str, Any], known: Mapping[int, Block], lines: Mapping[int, bytes]) -> None:
        """Have those blocks kept, soon, that are worth it; `lines` are the page's."""
        if not self._keeps() or answer["to"] < answer["from"]:
            return
        rows: dict[int, list[list[Any]]] = {}
        for row in answer["rows"]:
            rows.setdefault(block_of(row[3]), []).append(row)
        worth: dict[int, Block | None] = {}
        for place, some in rows.items():
            block = _renewed(answer, known.get(place), some, lines, self._generation())
            if block is not None and sum(map(len, block.lines)) <= LONGEST:
                worth[place] = block
            elif block is not None and place in known:  # held any longer, all that it lacks would be read each time
                worth[place] = None
        if worth:
            self._fills.append((answer["c"], worth))
            self._wake.set()

    def _run(self) -> None:
        while True:
            if not self._fills:
                self._wake.clear()
                self._wake.wait()
            number, blocks = self._fills.popleft()
            try:
                if self._tiers is not None:
                    self._tiers.keep(number, blocks)
            except RedisError as error:
                logger.info("Redis did not take %d blocks: %s", len(blocks), error)


def _laid_over(answer: Mapping[str, Any], known: Mapping[int, Block]) -> dict[int, bytes] | None:
    """Return the page's entries as they are kept, by seq, rising; None if one is nowhere."""
    told = {row[3]: row for row in answer["rows"]}
    lines = {}
    for seq in range(answer["from"], answer["to"] + 1):
        row = told.get(seq)
        block = known.get(block_of(seq))
        if row is not None:
            lines[seq] = kept_line(row)
        elif block is not None and block.first <= seq <= block.last:
            lines[seq] = block.lines[seq - block.first]
        elif known:
            return None
    return lines


def _renewed(
    answer: Mapping[str, Any],
    held: Block | None,
    rows: Sequence[list[Any]],
    page: Mapping[int, bytes],
    generation: str,
) -> Block | None:
    """Return a block as of the answer, if it is worth keeping: new, or no more as it was in much of it.

    What stands on the page is encoded already; of the rest nothing is before it is known to be worth it.
    """
    lines = {} if held is None else {held.first + place: line for place, line in enumerate(held.lines)}
    seqs = lines.keys() | {row[3] for row in rows}
    first, last = min(seqs), max(seqs)
    begin = block_of(first) * BLOCK
    full = last == begin + BLOCK
    whole = first <= max(begin + 1, answer["first"]) and last == min(begin + BLOCK, answer["last"])
    still_good = held is not None and len(rows) < STALE and not (full and len(held.lines) < len(seqs))
    if still_good or not whole or len(seqs) < WORTH or len(seqs) != last - first + 1:
        return None
    lines |= {row[3]: page.get(row[3]) or kept_line(row) for row in rows}
    at_us = max(rows[-1][10], 0 if held is None else held.at_us)
    return Block(generation, answer["change"], first, at_us, [lines[seq] for seq in range(first, last + 1)])


def _fitting(lines: Mapping[int, bytes], *, forward: bool) -> tuple[list[orjson.Fragment], bool]:
    """Return as many entries, from where the reader stands, as ANSWER_BYTES hold, one at least; and whether all."""
    kept: list[orjson.Fragment] = []
    total = 0
    for seq in sorted(lines, reverse=not forward):
        raw = line_json(lines[seq])
        total += len(raw)
        if kept and total > ANSWER_BYTES:
            break
        kept.append(orjson.Fragment(raw))
    return kept if forward else kept[::-1], len(kept) == len(lines)
