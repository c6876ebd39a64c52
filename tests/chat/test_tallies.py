"""Unread in all and by conversation: counted by the database at each question, whatever is kept in between."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import orjson
import pytest
import redis
from sqlalchemy import text

from chat import tallies as tallies_module
from chat.config import SETTINGS
from chat.errors import ChatError
from chat.frames import Caller
from chat.media_address import sign_with
from chat.postgres import Lost
from chat.services import conversations
from chat.stores import redis_pool
from chat.tallies import Tallies
from chat.tally import KEY, Tally, read_tally
from tests.chat.world import World

DEAD = {"REDIS_URL": "redis://127.0.0.1:1"}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


# What no database can have written, and none can be asked of: it must not fail those who ask at the same moment.
OUT_OF_RANGE = [
    b"[9223372036854775808,1,[]]",
    b"[-9223372036854775809,1,[]]",
    b"[1,1e300,[]]",
    b"[1,1,[[9223372036854775808,null,null,1,1,1,1]]]",
    b"[1,1,[[1,null,null,1,1,18446744073709551615,1]]]",
    b"[1,1,[[1,null,null,null,1,1,1]]]",
    b"[1,1,[[1,5,null,1,1,1,1]]]",
    b"[1,1,[[1,null,null,1,1,1,9000000000000000000]]]",
    b"[1,1,[[1,null,null,1,1,1,-1]]]",
    b"[true,1,[]]",
    b"[1,1,{}]",
    b"[1,1,[[],[]]]",
    b"[1,1,[5]]",
]


class Desk:
    """Tallies of a process of its own, running."""

    def __init__(self, url: str, store: redis.Redis, prefix: str):
        self.trusting = True
        self.tallies = Tallies(url, store, DEFAULTS | {"REDIS_PREFIX": prefix}, lambda: self.trusting)
        self.lanes = [gevent.spawn(loop) for loop in self.tallies.loops.values()]

    def ask(self, member: Caller) -> Any:
        with gevent.Timeout(10):
            return orjson.loads(self.tallies.answer(member.user_id))

    def close(self) -> None:
        gevent.killall(self.lanes)


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=2) as made:
        yield made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes | None, ...]]:
    """Every statement that the tallies of this test send."""
    found: list[tuple[bytes | None, ...]] = []
    run = tallies_module.Statement.run

    def noted(self: Any, *parameters: bytes | None) -> bytes | None:
        found.append(parameters)
        return run(self, *parameters)

    monkeypatch.setattr(tallies_module.Statement, "run", noted)
    return found


@pytest.fixture
def desks(world: World, database_url: str, store: redis.Redis, request: pytest.FixtureRequest) -> Iterator[list[Desk]]:
    """Two processes with one Redis."""
    prefix = f"{request.node.name}:{id(request)}:"
    made = [Desk(database_url, store, prefix) for _ in range(2)]
    yield made
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desks: list[Desk]) -> Desk:
    return desks[0]


def test_nothing_unread_names_nothing(world: World, desk: Desk) -> None:
    assert desk.ask(world.person()) == {"total": 0, "conversations": {}, "notifications": 0}


def test_messages_of_others_count_until_they_are_read(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group, wire_id = world.group(ann, bob), world.send_to(bob, ann, "hello")
    for _ in range(3):
        world.send(group, ann)
    counts = desk.ask(bob)
    assert counts["total"] == 4
    assert {name: one["unread"] for name, one in counts["conversations"].items()} == {group: 3, wire_id: 1}
    assert counts["conversations"][wire_id]["lastMessage"]["content"] == "hello"
    world.move(group, bob, 3)
    assert desk.ask(bob)["conversations"][group]["unread"] == 1
    world.send(group, bob)
    assert list(desk.ask(bob)["conversations"]) == [wire_id]
    assert desk.ask(ann)["total"] == 1


def test_notices_do_not_count(world: World, desk: Desk) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    group = world.group(ann, bob, joining="open")
    world.join(group, cat)
    world.leave(group, cat)
    assert desk.ask(bob)["total"] == 0


def test_what_was_recalled_does_not_count_whoever_wrote_it(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    theirs, also_theirs = world.send(group, ann), world.send(group, ann)
    world.send(group, bob, read_seq=1)
    own = world.send(group, bob, read_seq=1)
    world.recall(group, theirs)
    world.recall(group, own)
    assert desk.ask(bob)["total"] == 1
    world.recall(group, also_theirs)
    assert desk.ask(bob)["total"] == 0


def test_the_last_message_is_shown_as_it_is_now(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann, "first")
    last = world.send(group, ann, "regretted")
    assert desk.ask(bob)["conversations"][group]["lastMessage"]["content"] == "regretted"
    world.recall(group, last)
    shown = desk.ask(bob)["conversations"][group]
    assert (shown["unread"], shown["lastMessage"]["content"], "recalledAt" in shown["lastMessage"]) == (1, "", True)


def test_who_left_has_nothing_unread(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    assert desk.ask(bob)["total"] == 1
    world.leave(group, bob)
    world.send(group, ann)
    assert desk.ask(bob)["total"] == 0


def test_a_cleared_conversation_counts_from_then_on(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    world.do(conversations.clear, bob, group)
    cleared = desk.ask(bob)
    world.send(group, ann)
    assert (cleared["total"], desk.ask(bob)["total"]) == (0, 1)


def test_more_than_can_be_named_is_in_the_total(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.sql(MANY, ann=ann.user_id, bob=bob.user_id, count=1_001)
    counts = desk.ask(bob)
    assert (counts["total"], len(counts["conversations"])) == (1_001, 1_000)


def test_only_the_newest_show_their_last_message(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.group(bob, ann) for _ in range(3)]
    for group in groups:
        world.send(group, bob)
    monkeypatch.setattr(tallies_module, "SHOWN", 2)
    named = desk.ask(ann)["conversations"]
    assert list(named) == groups[::-1]
    assert [named[group]["lastMessage"] is None for group in groups] == [True, False, False]
    assert [named[group]["unread"] for group in groups] == [1, 1, 1]


def test_a_page_of_media_is_signed_for_the_day(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_with({"MEDIA_SECRET": "of this test", "JWT_SECRET": ""})
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    seq = world.send(group, ann)
    media = '{"media":{"id":"%s","kind":"image","url":"/uploads/images/a.png","size":1}}' % ("a" * 32)
    world.sql("UPDATE entries SET body = :body WHERE conversation_id = :id AND seq = :seq",
              body=media, id=world.number(group), seq=seq)  # fmt: skip

    def address() -> str:
        return desk.ask(bob)["conversations"][group]["lastMessage"]["media"]["url"]

    today = address()
    later = tallies_module.time.time() + 86_400
    monkeypatch.setattr(tallies_module.time, "time", lambda: later)
    assert today.startswith("/uploads/images/a.png?e=")
    assert address() != today


def test_all_who_ask_at_a_moment_are_answered_by_one_statement(world: World, desk: Desk, sent: list[Any]) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 20)
    group = world.group(ann, *others)
    world.send(group, ann)
    first = [gevent.spawn(desk.ask, other) for other in others]
    gevent.joinall(first, raise_error=True)
    again = len(sent)
    second = [gevent.spawn(desk.ask, other) for other in others]
    gevent.joinall(second, raise_error=True)
    assert [one.value["total"] for one in first + second] == [1] * 40
    assert len(sent) - again <= 2  # who comes first does not wait for company
    assert desk.tallies.counted == 20
    assert desk.tallies.answered == 40


def test_a_question_is_not_answered_by_what_was_read_before_it(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    desk.ask(bob)
    run = tallies_module.Statement.run
    held = gevent.event.Event()
    reading = gevent.event.Event()

    def slow(self: Any, *parameters: bytes | None) -> bytes | None:
        answer = run(self, *parameters)
        if not reading.is_set():
            reading.set()
            held.wait()
        return answer

    monkeypatch.setattr(tallies_module.Statement, "run", slow)
    early = gevent.spawn(desk.ask, bob)
    reading.wait(5)
    world.send(group, ann)  # while the answer to the first question is on its way
    late = desk.ask(bob)
    held.set()
    assert (late["total"], early.get(timeout=5)["total"]) == (2, 1)
    assert desk.ask(bob)["total"] == 2


def test_an_older_answer_that_comes_late_does_not_stay(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    run = tallies_module.Statement.run
    gates = [gevent.event.Event(), gevent.event.Event()]
    begun: list[int] = []

    def gated(self: Any, *parameters: bytes | None) -> bytes | None:
        answer = run(self, *parameters)
        if parameters[0] and len(begun) < 2:
            begun.append(1)
            gates[len(begun) - 1].wait()
        return answer

    monkeypatch.setattr(tallies_module.Statement, "run", gated)
    early = gevent.spawn(desk.ask, bob)
    while len(begun) < 1:
        gevent.sleep(0.002)
    world.send(group, ann)
    late = gevent.spawn(desk.ask, bob)
    while len(begun) < 2:
        gevent.sleep(0.002)
    gates[1].set()
    assert late.get(timeout=5)["total"] == 2
    gates[0].set()
    assert early.get(timeout=5)["total"] == 1  # as asked, before the second message
    assert desk.ask(bob)["total"] == 2


def test_what_another_process_counted_is_taken_if_it_still_holds(world: World, desks: list[Desk]) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    assert desks[0].ask(bob) == desks[1].ask(bob)
    assert (desks[0].tallies.counted, desks[1].tallies.counted) == (1, 0)
    world.send(group, ann)
    assert desks[1].ask(bob)["total"] == 2
    assert desks[0].ask(bob)["total"] == 2


def test_an_old_key_in_redis_hides_nothing(world: World, desks: list[Desk], store: redis.Redis) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    desks[0].ask(bob)
    key = desks[0].tallies._prefix + str(bob.user_id)
    old = store.get(key)
    world.send(group, ann)
    desks[0].ask(bob)
    store.set(key, old)  # as a Redis does that was restarted from an older snapshot
    assert desks[1].ask(bob)["total"] == 2


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"[1,2]", b"[1,2,[[1]]]", b'["x",1,[]]', b"\xff", *OUT_OF_RANGE])
def test_what_makes_no_sense_in_redis_is_counted_anew(
    world: World, desk: Desk, store: redis.Redis, rubbish: bytes
) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send(world.group(ann, bob), ann)
    store.set(desk.tallies._prefix + str(bob.user_id), rubbish)
    assert read_tally(rubbish) is None
    assert desk.ask(bob)["total"] == 1


def test_keys_expire_and_are_named_by_the_user(world: World, desk: Desk, store: redis.Redis) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send(world.group(ann, bob), ann)
    desk.ask(bob)
    key = desk.tallies._prefix + str(bob.user_id)
    assert f":{KEY}" in key
    assert 0 < store.ttl(key) <= 604_800


def test_without_redis_the_database_answers(world: World, database_url: str, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send(world.group(ann, bob), ann)
    dead = Desk(database_url, redis_pool(DEAD), "")
    try:
        assert dead.ask(bob) == desk.ask(bob)
    finally:
        dead.close()


def test_a_database_that_is_away_is_told_and_asked_again(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send(world.group(ann, bob), ann)
    run = tallies_module.Statement.run

    def lost(*_: Any) -> bytes:
        raise Lost("gone")

    monkeypatch.setattr(tallies_module.Statement, "run", lost)
    with pytest.raises(ChatError, match="overloaded"):
        desk.ask(bob)
    monkeypatch.setattr(tallies_module.Statement, "run", run)
    assert desk.ask(bob)["total"] == 1


def test_more_than_can_wait_are_refused_at_once(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies_module, "QUEUED", 0)
    with pytest.raises(ChatError, match="overloaded"):
        desk.ask(world.person())


def test_answers_are_kept_within_their_bound(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 5)
    group = world.group(ann, *others)
    world.send(group, ann)
    monkeypatch.setattr(tallies_module, "KEPT_BYTES", 3_000)
    assert [desk.ask(other)["total"] for other in others] == [1] * 5
    assert 0 < desk.tallies._bytes <= 3_000
    assert 0 < len(desk.tallies._kept) < 5
    for _ in range(2):  # one that is kept anew counts once
        world.send(group, ann)
        desk.ask(others[-1])
    assert desk.tallies._bytes == sum(map(tallies_module._size, desk.tallies._kept.values()))


@pytest.mark.parametrize("rows", [0, 1, 50, 1_000])
def test_what_is_counted_of_a_kept_answer_is_what_it_takes(desk: Desk, rows: int) -> None:
    big = 1_790_000_000_000_000
    users = range(10**6, 10**6 + max(2_000 // max(rows, 1), 20))

    def kept(user: int) -> tuple[Tally, bytes, float]:
        named = [[user + row, user * 7 + row, user * 9 + row, 300 + row, big + row, big + row, big + row]
                 for row in range(rows)]  # fmt: skip
        tally = read_tally(Tally(user * 2**40, user, named).encoded())
        assert tally is not None
        return tally, b"x" * (60 + 100 * rows), user / 7

    kept(1)
    tracemalloc.start()
    desk.tallies._keep({user: kept(user) for user in users})
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.8 < taken / desk.tallies._bytes < 1.2


def test_counts_hold_through_random_doings(world: World, desks: list[Desk]) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    group = world.group(ann, bob, cat, joining="open")
    doings = [
        lambda: world.send(group, ann),
        lambda: world.send(group, bob),
        lambda: world.move(group, bob, 3),
        lambda: world.recall(group, 2),
        lambda: world.leave(group, cat),
        lambda: world.send_to(bob, cat),
        lambda: world.join(group, cat),
        lambda: world.do(conversations.clear, bob, group),
        lambda: world.send(group, ann),
    ]
    for place, do in enumerate(doings):
        do()
        for member in (ann, bob, cat):
            counts = desks[place % 2].ask(member)
            shown = {name: one["unread"] for name, one in counts["conversations"].items()}
            assert {"total": counts["total"], "conversations": shown} == world.unread(member)


def test_the_stamp_tells_every_state_apart(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)

    def stamp() -> int:
        with world.engine.begin() as connection:
            ((answer,),) = connection.execute(
                text("SELECT chat_unread_1(ARRAY[CAST(:u AS bigint)], ARRAY[NULL]::bigint[], NULL, NULL)"),
                {"u": bob.user_id},
            )
        return int(orjson.loads(answer)[0][1])

    stamps = [stamp()]
    for column in ("last_seq", "last_count", "last_recalled_seq", "first_count", "change"):
        world.sql(f"UPDATE conversation_heads SET {column} = {column} + 1 WHERE conversation_id = :id",
                  id=world.number(group))  # fmt: skip
        stamps.append(stamp())
    for column in ("read_seq", "read_count", "own_count", "visible_from"):
        world.sql(f"UPDATE memberships SET {column} = {column} + 1 WHERE user_id = :id", id=bob.user_id)
        stamps.append(stamp())
    world.sql("UPDATE conversation_heads SET last_at = last_at + interval '1 second' WHERE conversation_id = :id",
              id=world.number(group))  # fmt: skip
    stamps.append(stamp())
    world.sql("UPDATE memberships SET left_seq = 1 WHERE user_id = :id", id=bob.user_id)
    stamps.append(stamp())
    assert len(set(stamps)) == len(stamps)


MANY = """
WITH made AS (
    INSERT INTO conversations (kind, name) SELECT 'group', 'one of many' FROM generate_series(1, :count) RETURNING id
), heads AS (
    INSERT INTO conversation_heads (conversation_id, last_seq, last_count, change) SELECT id, 1, 1, 1 FROM made
), entries AS (
    INSERT INTO entries (conversation_id, seq, count, change, sender_id, local_id, digest, type, content, created_at)
    SELECT id, 1, 1, 1, :ann, 'l', 0, 'text', 'x', now() FROM made
)
INSERT INTO memberships (conversation_id, user_id) SELECT id, :bob FROM made
"""
