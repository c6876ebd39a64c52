"""Pages of history: what they hold, who reads them, and that blocks make no difference but in work."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import orjson
import pytest
import redis

from chat import pages as pages_module
from chat.blocks import Block
from chat.config import SETTINGS
from chat.errors import ChatError
from chat.frames import Caller
from chat.media_address import sign_with
from chat.pages import Bounds, Pages, Readers
from chat.postgres import Lost
from chat.services import conversations
from chat.stores import redis_pool
from chat.tiers import Tiers
from tests.chat.world import World

DEAD = {"REDIS_URL": "redis://127.0.0.1:1"}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def seqs(page: dict[str, Any]) -> list[int]:
    return [message["seq"] for message in page["messages"]]


class Desk:
    """Pages of a process with a Redis. `told`: for each question, the rows that the database sent."""

    def __init__(self, world: World, store: redis.Redis, prefix: str):
        self.world = world
        self.generation = "genesis"
        self.tiers = Tiers(store, DEFAULTS | {"REDIS_PREFIX": prefix})
        self.pages = Pages(self._ask, self.tiers, lambda: self.generation)
        self.told: list[int] = []
        self.loop = gevent.spawn(self.pages.loops["blocks"])

    def _ask(self, question: bytes) -> bytes | None:
        answer = self.world.ask_history(question)
        self.told.append(len(orjson.loads(answer)["rows"]) if answer else 0)
        return answer

    def read(self, member: Caller, wire_id: str, before: int | None = None, after: int | None = None,
             limit: int = 50) -> dict[str, Any]:  # fmt: skip
        """Read a page, and let what is to be kept be kept."""
        found = orjson.loads(orjson.dumps(self.pages.page(member.user_id, wire_id, Bounds(before, after, limit))))
        self.settle()
        return found

    def settle(self) -> None:
        with gevent.Timeout(10):
            while self.pages._fills:
                gevent.sleep(0)
        gevent.idle()


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=2) as made:
        yield made


@pytest.fixture
def desks(world: World, store: redis.Redis, request: pytest.FixtureRequest) -> Iterator[list[Desk]]:
    """Two processes with one Redis."""
    made = [Desk(world, store, f"{id(request)}:") for _ in range(2)]
    yield made
    gevent.killall([desk.loop for desk in made])


@pytest.fixture
def desk(desks: list[Desk]) -> Desk:
    return desks[0]


@pytest.fixture
def reader(world: World) -> tuple[Caller, str]:
    """A member of a group of ten entries, and the group."""
    ann = world.person()
    return ann, filled(world, ann, 10)


def filled(world: World, ann: Caller, entries: int, *others: Caller) -> str:
    """Make a group with so many entries."""
    group = world.group(ann, *others, joining="open")
    for _ in range(entries - 1):
        world.send(group, ann)
    return group


@pytest.mark.parametrize(
    ("before", "after", "limit", "expected", "more"),
    [
        (None, None, 50, list(range(1, 11)), False),
        (None, None, 3, [8, 9, 10], True),
        (8, None, 3, [5, 6, 7], True),
        (4, None, 3, [1, 2, 3], False),
        (1, None, 3, [], False),
        (0, None, 3, [], False),
        (None, 0, 3, [1, 2, 3], True),
        (None, 7, 3, [8, 9, 10], False),
        (None, 10, 3, [], False),
        (6, 3, 50, [4, 5], False),
        (9, 3, 2, [4, 5], True),
        (2**63 - 1, None, 1, [10], True),
        (None, 2**63 - 1, 1, [], False),
    ],
)
def test_a_page_rises_and_says_whether_there_is_more(
    world: World, desk: Desk, reader: tuple[Caller, str], before: int | None, after: int | None, limit: int,
    expected: list[int], more: bool,
) -> None:  # fmt: skip
    found = world.page(*reader, before, after, limit)
    assert (seqs(found), found["hasMore"]) == (expected, more)
    for _ in range(2):
        assert desk.read(*reader, before, after, limit) == found


def test_nobody_else_reads(world: World, desk: Desk, reader: tuple[Caller, str]) -> None:
    desk.read(*reader)
    for other in (f"p{reader[0].user_id}-{reader[0].user_id}", "g999999", reader[1]):
        with pytest.raises(ChatError, match="not_a_member"):
            desk.read(world.person(), other)


def test_both_read_a_private_conversation_and_nobody_else(world: World, desk: Desk) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    wire_id = world.send_to(bob, ann, "hello")
    for user in (ann, bob, ann):
        (message,) = desk.read(user, wire_id)["messages"]
        assert (message["content"], message["conversationId"], message["senderId"]) == (
            "hello", wire_id, ann.public_id,
        )  # fmt: skip
    with pytest.raises(ChatError, match="not_a_member"):
        desk.read(eve, wire_id)


def test_edited_and_recalled_entries_say_so(world: World, reader: tuple[Caller, str]) -> None:
    world.sql(
        "UPDATE entries SET edited_at = '2026-01-02T03:04:05Z' WHERE conversation_id = :id AND seq = 2",
        id=world.number(reader[1]),
    )
    world.recall(reader[1], 3)
    edited, recalled = world.page(*reader, 4, 1)["messages"]
    assert edited["editedAt"] == "2026-01-02T03:04:05.000000Z"
    assert "recalledAt" not in edited
    assert (recalled["content"], recalled["change"]) == ("", 11)
    assert recalled["recalledAt"] > recalled["createdAt"]


def test_a_page_of_long_entries_is_shorter_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = world.person()
    group = world.group(ann)
    for _ in range(4):
        world.send(group, ann, "x" * 5_000)
    monkeypatch.setattr(pages_module, "ANSWER_BYTES", 10_500)
    for before, after, expected in ((None, None, [4, 5]), (4, None, [2, 3]), (None, 1, [2, 3])):
        found = world.page(ann, group, before, after)
        assert seqs(found) == expected
        assert found["hasMore"]
    monkeypatch.setattr(pages_module, "ANSWER_BYTES", 1)
    assert seqs(world.page(ann, group)) == [5]


def test_entries_gone_by_retention_are_not_looked_for(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 100)
    desk.read(ann, group, 40)
    number = world.number(group)
    world.sql("DELETE FROM entries WHERE conversation_id = :id AND seq < 30", id=number)
    world.sql("UPDATE conversation_heads SET first_seq = 30 WHERE conversation_id = :id", id=number)
    found = desk.read(ann, group, 40)
    assert (seqs(found), found["hasMore"]) == (list(range(30, 40)), False)


def test_what_is_held_is_not_read_again(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 200)
    desk.told.clear()
    first = desk.read(ann, group)
    assert seqs(first) == list(range(151, 201))
    again = desk.read(ann, group)
    assert again == first
    assert desk.told == [72, 8]  # of the last block, too young to be kept, all is read
    world.send(group, ann, "new")
    newer = desk.read(ann, group)
    assert (seqs(newer), newer["messages"][-1]["content"]) == (list(range(152, 202)), "new")
    assert desk.told[-1] <= 9  # nothing is known yet of the new last block, in which 9 entries are
    assert desk.read(ann, group, 151) == world.page(ann, group, 151)


def test_another_process_takes_the_same_blocks(world: World, desks: list[Desk]) -> None:
    ann = world.person()
    group = filled(world, ann, 120)
    desks[0].read(ann, group, 65)
    desks[1].read(ann, group, limit=1)  # learns where the conversation ends
    desks[1].told.clear()
    assert desks[1].read(ann, group, 65) == world.page(ann, group, 65)
    assert desks[1].told == [0]


def test_an_edit_is_read_though_the_block_is_older(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 64)
    desk.read(ann, group)
    world.recall(group, 40)
    found = desk.read(ann, group)
    assert found == world.page(ann, group)
    assert desk.told[-1] == 1
    assert next(message for message in found["messages"] if message["seq"] == 40)["recalledAt"]


def test_a_block_that_has_aged_is_kept_anew(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 40)
    desk.read(ann, group)
    told = []
    for _ in range(20):
        world.send(group, ann)
        assert desk.read(ann, group) == world.page(ann, group)
        told.append(desk.told[-1])
    assert max(told) <= pages_module.STALE
    assert told.count(1) >= 2


def test_a_filling_that_was_held_hides_nothing(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is filled with rows read before others committed."""
    ann = world.person()
    group = filled(world, ann, 60)
    go, reached = gevent.event.Event(), gevent.event.Event()
    keep = desk.tiers.keep

    def held(number: int, blocks: Any) -> None:
        reached.set()
        go.wait(10)
        keep(number, blocks)

    monkeypatch.setattr(desk.tiers, "keep", held)
    desk.pages.page(ann.user_id, group, Bounds(None, None, 50))
    reached.wait(5)
    for _ in range(10):
        world.send(group, ann, "while it was held")
    world.recall(group, 20)
    go.set()
    monkeypatch.setattr(desk.tiers, "keep", keep)
    desk.settle()
    for before in (None, 65, 50, 30):
        assert desk.read(ann, group, before) == world.page(ann, group, before)


def test_an_old_block_written_over_a_new_one_hides_nothing(world: World, desks: list[Desk], store: redis.Redis) -> None:
    ann = world.person()
    group = filled(world, ann, 30)
    desks[0].read(ann, group)
    (key,) = list(store.scan_iter(f"{desks[0].tiers._prefix}hot:*"))
    old = store.get(key)
    for _ in range(30):
        world.send(group, ann)
    world.recall(group, 10)
    desks[0].read(ann, group)
    store.set(key, old)
    for desk in desks:
        for _ in range(2):
            assert desk.read(ann, group) == world.page(ann, group)


def test_a_joiner_a_rejoiner_and_a_leaver_see_what_is_theirs(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = filled(world, ann, 40)
    desk.read(ann, group)
    world.join(group, bob)
    world.send(group, ann, "hello Bob")
    assert [message["content"] for message in desk.read(bob, group)["messages"]] == ["Bob joined.", "hello Bob"]
    assert seqs(desk.read(bob, group, 30)) == []
    world.leave(group, bob)
    with pytest.raises(ChatError, match="not_a_member"):
        desk.read(bob, group)
    world.send(group, ann, "among ourselves")
    world.join(group, bob)
    assert [message["content"] for message in desk.read(bob, group)["messages"]] == ["Bob joined."]
    world.do(conversations.clear, ann, group)
    world.send(group, ann, "afresh")
    assert [message["content"] for message in desk.read(ann, group)["messages"]] == ["afresh"]


def test_blocks_of_a_restored_database_are_not_taken(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 40)
    desk.read(ann, group)
    # As after a restore: the same numbers, other entries.
    world.sql("UPDATE entries SET content = 'another life' WHERE conversation_id = :id", id=world.number(group))
    desk.generation = "second"
    assert desk.read(ann, group) == world.page(ann, group)
    desk.generation = ""  # not known yet
    assert desk.read(ann, group) == world.page(ann, group)


@pytest.mark.parametrize("damage", [
    lambda block: block._replace(lines=block.lines[:-1]).encoded(),
    lambda block: block._replace(first=block.first + 5, lines=block.lines[5:]).encoded(),
    lambda block: b"rubbish",
    lambda block: b"",
])  # fmt: skip
def test_a_damaged_block_costs_a_question(
    world: World, desk: Desk, store: redis.Redis, damage: Callable[[Block], bytes]
) -> None:
    ann = world.person()
    group = filled(world, ann, 50)
    expected = desk.read(ann, group)
    (key,) = list(store.scan_iter(f"{desk.tiers._prefix}hot:*"))
    block = Block.read(store.get(key))
    store.set(key, damage(block))
    assert desk.read(ann, group) == expected
    assert desk.read(ann, group) == expected


def test_without_redis_the_database_answers(world: World, desk: Desk) -> None:
    ann = world.person()
    group = filled(world, ann, 30)
    desk.tiers._redis = redis_pool(DEAD)
    for _ in range(2):
        assert desk.read(ann, group) == world.page(ann, group)
    desk.tiers.trusted = lambda: False
    assert desk.read(ann, group) == world.page(ann, group)
    assert not desk.loop.dead


def test_media_in_a_block_is_signed_at_each_reading(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_with({"MEDIA_SECRET": "of this test", "JWT_SECRET": ""})
    ann = world.person()
    group = filled(world, ann, 30)
    media = '{"media":{"id":"%s","kind":"image","url":"/uploads/images/a.png"}}' % ("a" * 32)
    world.sql("UPDATE entries SET body = :body WHERE conversation_id = :id AND seq = 30",
              body=media, id=world.number(group))  # fmt: skip
    urls = []
    for day in range(2):
        for _ in range(2):
            monkeypatch.setattr("chat.media_address.time.time", lambda day=day: 2e9 + day * 86_400)
            urls.append(desk.read(ann, group)["messages"][-1]["media"]["url"])
    assert urls[0] == urls[1] != urls[2] == urls[3]
    assert desk.told[-1] == 0
    assert "?e=" in urls[0]


def test_few_entries_are_not_worth_a_block(world: World, desk: Desk, store: redis.Redis) -> None:
    ann = world.person()
    desk.read(ann, filled(world, ann, pages_module.WORTH - 1))
    assert not list(store.scan_iter(f"{desk.tiers._prefix}*"))


def test_for_a_few_entries_no_block_is_read(world: World, desk: Desk, store: redis.Redis) -> None:
    ann = world.person()
    group = filled(world, ann, 64)
    for limit, told in ((1, 1), (pages_module.WORTH - 1, pages_module.WORTH - 1), (pages_module.WORTH, 64)):
        desk.read(ann, group, limit=limit)
        assert desk.told[-1] == told


@pytest.mark.parametrize("media", [False, True])
def test_a_block_that_is_too_long_to_be_kept_is_not_read_either(
    world: World, desk: Desk, store: redis.Redis, media: bool
) -> None:
    ann = world.person()
    group = filled(world, ann, 128)
    long = "'{\"metadata\":\"' || repeat('漢', 1400) || '\"}'" if media else "repeat('漢', 1400)"  # 4,200 bytes
    world.sql(f"UPDATE entries SET {'body' if media else 'content'} = {long} WHERE conversation_id = :id AND seq <= 64",
              id=world.number(group))  # fmt: skip
    for _ in range(2):
        assert desk.read(ann, group, 61, limit=20) == world.page(ann, group, 61, limit=20)
        assert desk.told[-1] == 20
    desk.read(ann, group, 75, limit=20)
    assert desk.told[-1] == 10 + 64  # of the block beside it, which is as others are, all
    assert len(list(store.scan_iter(f"{desk.tiers._prefix}hot:*"))) == 1


def test_a_block_that_has_become_too_long_is_let_go(world: World, desk: Desk, store: redis.Redis) -> None:
    ann = world.person()
    group = filled(world, ann, 20)
    desk.read(ann, group)
    assert len(list(store.scan_iter(f"{desk.tiers._prefix}hot:*"))) == 1
    for _ in range(30):
        world.send(group, ann, "x" * 9_000)
    told = []
    for _ in range(3):
        assert desk.read(ann, group, 10, limit=1) == world.page(ann, group, 10, limit=1)
        told.append(desk.told[-1])
    assert told == [30, 1, 1]
    assert not list(store.scan_iter(f"{desk.tiers._prefix}hot:*"))


def test_what_is_too_long_to_be_kept_does_not_wait_for_it(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = world.person()
    group = filled(world, ann, 30)
    monkeypatch.setattr(pages_module, "LONGEST", 1_000)
    desk.pages.page(ann.user_id, group, Bounds(None, None, 50))
    assert not desk.pages._fills


@pytest.mark.parametrize("entries", [pages_module.WORTH - 2, 40])
def test_no_entry_is_encoded_twice(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    ann = world.person()
    group = filled(world, ann, entries)
    encoded: list[int] = []
    kept_line = pages_module.kept_line

    def noted(row: Any) -> bytes:
        encoded.append(row[3])
        return kept_line(row)

    monkeypatch.setattr(pages_module, "kept_line", noted)
    desk.read(ann, group)
    assert sorted(encoded) == list(range(1, entries + 1))


def test_what_is_remembered_and_waits_is_bounded(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "PLACED", 2)
    ann = world.person()
    for _ in range(4):
        desk.read(ann, filled(world, ann, 2))
    assert len(desk.pages._placed) == 2
    assert desk.pages._fills.maxlen == pages_module.FILLS


def test_the_readers_ask_the_database(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = world.person()
    group = filled(world, ann, 5)
    readers = Readers(database_url)
    try:
        asking = [gevent.spawn(Pages(readers.ask).page, ann.user_id, group, Bounds(None, None, 50)) for _ in range(10)]
        gevent.joinall(asking, raise_error=True)
        assert all(orjson.loads(orjson.dumps(one.value)) == world.page(ann, group) for one in asking)

        def lost(*_: Any) -> bytes:
            raise Lost("gone")

        monkeypatch.setattr(pages_module.Statement, "run", lost)
        with pytest.raises(ChatError, match="overloaded"):
            readers.ask(b"{}")
        monkeypatch.setattr(pages_module, "WAITING", 0)
        with pytest.raises(ChatError, match="overloaded"):
            readers.ask(b"{}")
    finally:
        readers.close()
