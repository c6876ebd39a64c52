"""History through the tiers is history from the database, whatever goes on: random doings, every page compared.

Two processes read with one Redis. Blocks are kept late, twice and out of order; keys are evicted, demoted, and come
back from an older snapshot; meanwhile people send, join, leave, are kicked, come again, clear; entries are edited,
recalled and let go.
"""

import random
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from chat.config import SETTINGS
from chat.entries import entry_json
from chat.errors import ChatError
from chat.frames import Caller
from chat.pages import Bounds, Pages
from chat.services import conversations, members
from chat.tiers import Tiers
from tests.chat.world import World

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
SEEDS = 4
STEPS = 60  # of a seed
READS = 3  # pages after each
HOUR = 3_600


class Process:
    """Reads pages; what it wants to be kept waits until the play lets it."""

    def __init__(self, world: World, store: redis.Redis, prefix: str):
        self.tiers = Tiers(store, DEFAULTS | {"REDIS_PREFIX": prefix})
        self.pages = Pages(world.ask_history, self.tiers, lambda: "genesis")

    def read(self, member: Caller, wire_id: str, bounds: Bounds) -> Any:
        try:
            return orjson.loads(orjson.dumps(self.pages.page(member.user_id, wire_id, bounds)))
        except ChatError as refusal:
            return refusal.code.name


class Play:
    """A group, its people, and the dice."""

    def __init__(self, world: World, store: redis.Redis, seed: int):
        self.world, self.store = world, store
        self.dice = random.Random(seed)
        self.prefix = f"through-tiers-{seed}-{time.time_ns()}:"
        self.processes = [Process(world, store, self.prefix) for _ in range(2)]
        self.people = world.people("Ann", "Bob", "Cat", "Dan")
        self.owner = self.people[0]
        history = self.dice.choice(["joined", "all"])
        self.group = world.group(*self.people[:2], joining="open", history=history)
        self.number = world.number(self.group)
        self.snapshot: dict[bytes, tuple[bytes, int]] = {}
        self.late: list[tuple[Tiers, int, Any]] = []
        self.doings = [
            (self.send_some, 8), (self.join, 3), (self.leave, 1), (self.kick, 2), (self.clear, 1), (self.edit, 4),
            (self.recall, 3), (self.retain, 0.5), (self.keep, 8), (self.keep_again, 2), (self.evict, 3),
            (self.demote, 2), (self.save, 1), (self.go_back, 2),
        ]  # fmt: skip

    def step(self) -> None:
        doings, weights = zip(*self.doings, strict=True)
        self.dice.choices(doings, weights)[0]()

    # People.

    def _one(self) -> Caller:
        return self.dice.choice(self.people)

    def send_some(self) -> None:
        sender = self._one()
        for _ in range(self.dice.choice([1, 1, 3, 20, 50])):
            self.world.try_to_send(self.group, sender, f"text {self.dice.random()}")

    def join(self) -> None:
        self._try(members.join, self._one(), self.group)

    def leave(self) -> None:
        self._try(members.leave, self.dice.choice(self.people[1:]), self.group)

    def kick(self) -> None:
        self._try(members.remove, self.owner, self.group, self.dice.choice(self.people[1:]).public_id)

    def clear(self) -> None:
        self._try(conversations.clear, self._one(), self.group)

    def _try(self, work: Any, *arguments: Any) -> None:
        try:
            self.world.do(work, *arguments)
        except ChatError:
            return  # in already, or out

    def _seq(self) -> int:
        ((last,),) = self.world.rows(
            "SELECT last_seq FROM conversation_heads WHERE conversation_id = :c", c=self.number
        )
        return self.dice.randint(1, last)

    def edit(self) -> None:
        self.world.sql(EDIT, id=self.number, seq=self._seq(), content=f"edited {self.dice.random()}")

    def recall(self) -> None:
        self.world.recall(self.group, self._seq())

    def retain(self) -> None:
        seq = self._seq() // 3 + 1
        self.world.sql("DELETE FROM entries WHERE conversation_id = :id AND seq < :seq", id=self.number, seq=seq)
        self.world.sql(
            "UPDATE conversation_heads SET first_seq = greatest(first_seq, :seq) WHERE conversation_id = :id",
            id=self.number, seq=seq,
        )  # fmt: skip

    # Redis.

    def keep(self) -> None:
        """Let waiting blocks be kept, not in the order in which they were read."""
        for process in self.processes:
            waiting = list(process.pages._fills)
            process.pages._fills.clear()
            self.dice.shuffle(waiting)
            for number, blocks in waiting:
                process.tiers.keep(number, blocks)
                self.late.append((process.tiers, number, blocks))

    def keep_again(self) -> None:
        """A process that was slow writes what it read long ago."""
        if self.late:
            tiers, number, blocks = self.dice.choice(self.late)
            tiers.keep(number, blocks)

    def _keys(self) -> list[bytes]:
        return sorted(self.store.scan_iter(f"{self.prefix}*"))

    def evict(self) -> None:
        for key in self._keys():
            if self.dice.random() < 0.3:
                self.store.delete(key)

    def demote(self) -> None:
        self.processes[0].tiers.demote(time.time() + self.dice.choice([1, 23, 25, 200]) * HOUR)

    def save(self) -> None:
        self.snapshot = {key: (self.store.dump(key), max(0, self.store.pttl(key))) for key in self._keys()}

    def go_back(self) -> None:
        """Redis is started again from its last snapshot."""
        for key in self._keys():
            self.store.delete(key)
        for key, (value, life) in self.snapshot.items():
            self.store.restore(key, life, value, replace=True)

    # Reading.

    def bounds(self) -> Bounds:
        before = self.dice.choice([None, None, self._seq(), self._seq() + 5])
        after = self.dice.choice([None, None, None, self._seq() - 1])
        return Bounds(before, after, self.dice.choice([1, 10, 50, 50, 100]))

    def true_page(self, member: Caller, bounds: Bounds) -> Any:
        """Read the page from the tables, without any function of the server's."""
        found = self.world.rows(
            "SELECT visible_from FROM memberships WHERE conversation_id = :c AND user_id = :u AND left_seq IS NULL",
            c=self.number, u=member.user_id,
        )  # fmt: skip
        if not found:
            return "not_a_member"
        floor = max(found[0][0], bounds.after or 0)
        rows = self.world.rows(ROWS, c=self.number, floor=floor, before=bounds.before or 2**60)
        limit = bounds.limit
        kept = rows[-limit:] if bounds.after is None else rows[:limit]
        messages = [orjson.loads(entry_json(list(row))) for row in kept]
        return {"messages": messages, "hasMore": len(rows) > limit}


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=2) as made:
        yield made


@pytest.mark.parametrize("seed", range(SEEDS))
def test_history_through_the_tiers_is_history_from_the_database(world: World, store: redis.Redis, seed: int) -> None:
    play = Play(world, store, seed)
    try:
        for step in range(STEPS):
            play.step()
            for _ in range(READS):
                member, bounds = play.dice.choice(play.people), play.bounds()
                process = play.dice.choice(play.processes)
                expected = play.true_page(member, bounds)
                assert process.read(member, play.group, bounds) == expected, (seed, step, bounds)
    finally:
        for key in play._keys():
            store.delete(key)
    found = sum((process.tiers.found for process in play.processes[1:]), play.processes[0].tiers.found)
    assert found.total() - found["none"] > READS * STEPS / 20, found  # else nothing was tried


EDIT = """
WITH head AS (
    UPDATE conversation_heads SET change = change + 1 WHERE conversation_id = :id RETURNING change)
UPDATE entries SET content = :content, edited_at = now(), changed_at = now(), change = head.change FROM head
WHERE conversation_id = :id AND seq = :seq
"""
ROWS = """
SELECT e.conversation_id, c.low, c.high, e.seq, e.change, u.public_id, e.local_id, e.type, e.content, e.body,
       CAST(extract(epoch FROM e.created_at) * 1000000 AS bigint),
       CAST(extract(epoch FROM e.edited_at) * 1000000 AS bigint),
       CAST(extract(epoch FROM e.recalled_at) * 1000000 AS bigint)
FROM entries e JOIN conversations c ON c.id = e.conversation_id LEFT JOIN users u ON u.id = e.sender_id
WHERE e.conversation_id = :c AND e.seq > :floor AND e.seq < :before ORDER BY e.seq
"""
