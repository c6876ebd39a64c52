"""Unread sync: a drift that was put there is found, told of and mended; what is only old is left alone."""

import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from chat.entries import entry_json
from chat.frames import Caller
from chat.tally import Tally, read_tally
from tasks import unread_sync
from tasks.unread_sync import compare
from tests.chat.world import UNREAD, World
from tests.tasks.conftest import Site

pytestmark = pytest.mark.usefixtures("process")


@pytest.fixture
def store(site: Site) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(site.redis.url) as made:
        forget(made)
        yield made
        forget(made)


def forget(store: redis.Redis) -> None:
    for pattern in ("user:unread:*", "conversation:last:*", "unread:*"):
        for key in store.scan_iter(pattern):
            store.delete(key)


def tally_of(world: World, member: Caller) -> Tally:
    ((_, *tally),) = orjson.loads(world.rows(UNREAD, user=member.user_id)[0][0])
    return Tally(*tally)


def last_of(world: World, wire_id: str) -> bytes:
    """Return the last entry of a conversation as it is left in Redis."""
    number = world.number(wire_id)
    ((seq,),) = world.rows("SELECT last_seq FROM conversation_heads WHERE conversation_id = :id", id=number)
    entry = "SELECT chat_unread_1(NULL, NULL, ARRAY[CAST(:id AS bigint)], ARRAY[CAST(:seq AS bigint)])"
    (row,) = orjson.loads(world.rows(entry, id=number, seq=seq)[0][0])
    return entry_json(row)


def told(store: redis.Redis) -> dict[str, int]:
    found: Any = store.hgetall("unread:drift")
    return {name.decode(): int(value) for name, value in found.items()}


@pytest.fixture
def talk(world: World) -> tuple[Caller, str]:
    """Somebody with three unread messages, and where."""
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    for _ in range(3):
        world.send(group, ann)
    return bob, group


def test_a_count_that_drifted_is_found_told_and_mended(
    world: World, store: redis.Redis, talk: tuple[Caller, str], caplog: pytest.LogCaptureFixture
) -> None:
    bob, _ = talk
    key = f"user:unread:{bob.user_id}"
    true = tally_of(world, bob)
    wrong = true._replace(total=7, named=[[*true.named[0][:3], 7, *true.named[0][4:]]])
    store.set(key, wrong.encoded())
    with caplog.at_level(logging.WARNING):
        assert compare() == 1
    assert read_tally(store.get(key)) == true
    assert 0 < store.ttl(key) <= 604_800
    assert told(store)["found"] == 1
    assert told(store)["lastFound"] == told(store)["lastRun"] > 0
    assert "1 of 1 unread keys" in caplog.text
    assert compare() == 0
    assert told(store)["checked"] == 2
    assert 0 < store.ttl("unread:drift") <= 604_800


def test_what_is_right_or_only_old_is_left_alone(world: World, store: redis.Redis, talk: tuple[Caller, str]) -> None:
    bob, group = talk
    old, last = tally_of(world, bob), last_of(world, group)
    store.set(f"user:unread:{bob.user_id}", old.encoded())
    store.set(f"conversation:last:{world.number(group)}", last)
    assert compare() == 0
    world.move(group, bob, 3)
    world.recall(group, 4)
    assert compare() == 0
    assert store.get(f"user:unread:{bob.user_id}") == old.encoded()
    assert store.get(f"conversation:last:{world.number(group)}") == last
    assert told(store)["found"] == 0
    assert "lastFound" not in told(store)


def test_a_last_entry_that_drifted_is_mended(world: World, store: redis.Redis, talk: tuple[Caller, str]) -> None:
    _, group = talk
    key = f"conversation:last:{world.number(group)}"
    last = last_of(world, group)
    store.set(key, last.replace(b'"content":"hi"', b'"content":"never said"'))
    assert compare() == 1
    assert store.get(key) == last


@pytest.mark.parametrize("place", ["seq", "change"])
def test_what_speaks_of_a_state_that_never_was_goes(
    world: World, store: redis.Redis, talk: tuple[Caller, str], place: str
) -> None:
    _, group = talk
    number = world.number(group)
    entry = orjson.loads(last_of(world, group))
    entry |= {"id": f"m{number}-99", "seq": 99} if place == "seq" else {"change": 99}
    store.set(f"conversation:last:{number}", orjson.dumps(entry))
    assert compare() == 1
    assert store.get(f"conversation:last:{number}") is None


@pytest.mark.parametrize("key", ["user:unread:x", "user:unread:1", "conversation:last:1", "conversation:last:x"])
@pytest.mark.parametrize("rubbish", [b"rubbish", b"{}", b'{"id":"m2-1","change":1}', b"[1,2,[[1]]]"])
def test_rubbish_goes(store: redis.Redis, key: str, rubbish: bytes) -> None:
    store.set(key, rubbish)
    assert compare() == 1
    assert store.get(key) is None


def test_a_run_is_bounded_and_the_next_goes_on(
    world: World, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread_sync, "SCANNED", 10)
    monkeypatch.setattr(unread_sync, "STEPS", 2)
    store.mset({f"user:unread:{number}": b"rubbish" for number in range(10_000, 10_200)})
    runs = 0
    while store.exists(*[f"user:unread:{number}" for number in range(10_000, 10_200)]):
        assert compare() <= 60  # a step may bring a few more than asked for
        runs += 1
        assert runs < 500
    assert runs > 3
