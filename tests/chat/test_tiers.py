"""The tiers: what is kept where and for how long, and what gives way first when memory runs out."""

import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from chat import tiers as tiers_module
from chat.blocks import Block
from chat.config import SETTINGS
from chat.launcher.embedded_redis import Redis
from chat.stores import redis_pool
from chat.tiers import COLD, FREQUENT, HOT, Tiers

DEAD = {"REDIS_URL": "redis://127.0.0.1:1"}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
HOUR = 3_600
DAY = 24 * HOUR


def block(hours: float = 0.0, change: int = 5, size: int = 20, text: str = "some text ") -> Block:
    """Return a block whose newest entry is so old."""
    at_us = int((time.time() - hours * HOUR) * 1e6)
    return Block("genesis", change, 1, at_us, [b'{"content":"%b"}' % (text * size).encode() for _ in range(16)])


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=2) as made:
        yield made


@pytest.fixture
def tiers(store: redis.Redis, request: pytest.FixtureRequest) -> Iterator[Tiers]:
    made = Tiers(store, DEFAULTS | {"REDIS_PREFIX": f"{id(request)}:"})
    yield made
    for key in store.scan_iter(f"{made._prefix}*"):
        store.delete(key)


def kept(tiers: Tiers, store: redis.Redis) -> dict[str, int]:
    """Return the keys there are, and the seconds that each has to live."""
    return {key.decode().removeprefix(tiers._prefix): store.ttl(key) for key in store.scan_iter(f"{tiers._prefix}*")}


def test_a_block_is_kept_by_its_age(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(200), 1: block(30), 2: block(20), 3: block()})
    found = kept(tiers, store)
    assert set(found) == {"cold:7:0", "cold:7:1", "hot:7:2", "hot:7:3", "hot"}
    assert found["cold:7:0"] <= 600
    assert 4 * HOUR < found["hot:7:2"] <= 6 * HOUR + 5
    assert 24 * HOUR < found["hot:7:3"] <= 26 * HOUR + 5
    assert all(0 < life <= 7 * DAY for name, life in found.items() if name != "hot")


def test_blocks_are_found_in_every_tier(tiers: Tiers) -> None:
    old, young = block(30), block(20)
    tiers.keep(7, {0: old, 1: young})
    assert tiers.find(7, [0, 1, 2]) == {0: old, 1: young}
    tiers.demote(time.time() + 5 * HOUR)
    assert tiers.find(7, [1]) == {1: young}
    assert tiers.find(8, [1]) == {}
    assert tiers.found == {COLD: 1, HOT: 1, FREQUENT: 1, "none": 2}


def test_of_two_the_newer_is_taken(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(change=5)})
    tiers.demote(time.time() + 25 * HOUR)
    for change, expected in ((6, 6), (4, 5)):
        tiers.keep(7, {0: block(change=change)})
        assert tiers.find(7, [0])[0].change == expected


def test_what_has_aged_is_compressed_and_lives_seven_days_in_all(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(23), 1: block(1)})
    assert tiers.demote(time.time() + 2 * HOUR) == 1
    found = kept(tiers, store)
    assert set(found) == {"frequent:7:0", "hot:7:1", "hot", "frequent"}
    assert 5.9 * DAY < found["frequent:7:0"] <= 6 * DAY
    text = store.get(f"{tiers._prefix}frequent:7:0")
    assert isinstance(text, bytes)
    assert len(text) < len(zlib.decompress(text)) / 4


def test_demoting_again_or_from_the_middle_changes_nothing(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {place: block(23) for place in range(5)})
    later = time.time() + 2 * HOUR
    # As one leaves it that was killed: a block in both tiers, another in neither but noted.
    store.set(f"{tiers._prefix}frequent:7:0", b"begun")
    store.delete(f"{tiers._prefix}hot:7:1")
    assert tiers.demote(later) == 5
    once = set(kept(tiers, store))
    assert tiers.demote(later) == 0
    assert set(kept(tiers, store)) == once
    assert set(tiers.find(7, range(5))) == {0, 2, 3, 4}


def test_two_demote_at_once(tiers: Tiers, store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    tiers.keep(7, {place: block(23) for place in range(5)})
    later = time.time() + 2 * HOUR
    other = Tiers(store, DEFAULTS | {"REDIS_PREFIX": tiers._prefix.removesuffix("history:")})
    make = tiers._make_frequent

    def overtaken(old: Any, now: float) -> None:
        monkeypatch.setattr(tiers, "_make_frequent", make)
        other.demote(later)
        make(old, now)

    monkeypatch.setattr(tiers, "_make_frequent", overtaken)
    tiers.demote(later)
    assert set(tiers.find(7, range(5))) == set(range(5))
    assert (tiers.found[FREQUENT], tiers.found["none"]) == (5, 0)


def test_a_run_is_bounded(tiers: Tiers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers_module, "BATCH", 2)
    monkeypatch.setattr(tiers_module, "STEPS", 3)
    tiers.keep(7, {place: block(23) for place in range(10)})
    later = time.time() + 2 * HOUR
    assert [tiers.demote(later) for _ in range(3)] == [6, 4, 0]


def test_after_seven_days_nothing_is_left(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(23), 1: block(22)})
    tiers.demote(time.time() + 2 * HOUR)
    assert tiers.demote(time.time() + 6.1 * DAY) == 2
    assert "frequent" not in kept(tiers, store)


def test_a_long_block_is_not_kept(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(size=2_000)})
    assert kept(tiers, store) == {}


def test_what_cannot_be_read_is_not_found(tiers: Tiers, store: redis.Redis) -> None:
    store.set(f"{tiers._prefix}frequent:7:0", b"not compressed")
    store.set(f"{tiers._prefix}hot:7:1", b"no block")
    assert tiers.find(7, [0, 1]) == {}


def test_a_redis_that_is_away_finds_nothing(tiers: Tiers) -> None:
    tiers.keep(7, {0: block()})
    tiers.trusted = lambda: False
    assert tiers.find(7, [0]) == {}
    tiers.trusted = lambda: True
    tiers._redis = redis_pool(DEAD)
    assert tiers.find(7, [0]) == {}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[redis.Redis]:
    """A Redis of the test's own with little memory, evicting as the embedded one does."""
    server = Redis(tmp_path / "small", keep=False)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as made:
            made.config_set("maxmemory-policy", "volatile-lru")
            used = made.info("memory")["used_memory"]
            made.config_set("maxmemory", used + 12_000_000)
            yield made
    finally:
        server.stop()


def test_under_pressure_frequent_blocks_go_before_hot_ones(small: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers_module, "BATCH", 20)
    tiers = Tiers(small, DEFAULTS)
    assert tiers.relieve() == 0
    noise = random.Random(1)
    place = 0
    while tiers._filled() < 45:  # bytes that compression makes no smaller
        lines = [noise.randbytes(500).hex().encode() for _ in range(32)]
        tiers.keep(1, {place: Block("g", 1, 1, int((time.time() - 23.5 * HOUR) * 1e6) + place, lines)})
        place += 1
    frequent = tiers.demote(time.time() + HOUR)
    assert frequent == place
    while tiers._filled() < 88:
        lines = [noise.randbytes(500).hex().encode() for _ in range(32)]
        tiers.keep(2, {place: Block("g", 1, 1, int(time.time() * 1e6) + place, lines)})
        place += 1
    hot = place - frequent
    dropped = tiers.relieve()
    assert dropped > 0
    assert tiers._filled() <= 80 or small.zcard("history:frequent") == 0
    assert small.zcard("history:hot") == hot  # none of them went
    assert len(list(small.scan_iter("history:hot:*"))) == hot
    left = {int(key.rsplit(b":", 1)[1]) for key in small.scan_iter("history:frequent:*")}
    assert not left or min(left) > 0  # the oldest went first


def test_under_more_pressure_hot_blocks_go_too_the_oldest_first(
    small: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers_module, "BATCH", 5)
    tiers = Tiers(small, DEFAULTS)
    noise = random.Random(2)
    place = 0
    while tiers._filled() < 94:
        lines = [noise.randbytes(500).hex().encode() for _ in range(32)]
        tiers.keep(2, {place: Block("g", 1, 1, int((time.time() - HOUR) * 1e6) + place * 1_000, lines)})
        place += 1
    assert tiers.relieve() > 0
    assert tiers._filled() <= 90
    left = sorted(int(key.rsplit(b":", 1)[1]) for key in small.scan_iter("history:hot:*"))
    assert left
    assert left[0] > 0
    assert left == list(range(left[0], place))


def test_a_run_that_reaches_its_bound_among_frequent_blocks_drops_no_hot_one(
    tiers: Tiers, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers_module, "BATCH", 2)
    monkeypatch.setattr(tiers_module, "STEPS", 3)
    monkeypatch.setattr(tiers, "_filled", lambda: 100.0)
    tiers.keep(7, {place: block(23) for place in range(10)})
    tiers.demote(time.time() + 2 * HOUR)
    tiers.demote(time.time() + 2 * HOUR)
    tiers.keep(8, {place: block() for place in range(5)})
    assert tiers.relieve() == 6
    assert len([name for name in kept(tiers, store) if name.startswith("hot:")]) == 5
    assert tiers.relieve() == 4 + 5  # the last frequent ones, and then there is nothing else


def test_no_eviction_can_take_the_sets_that_say_what_may_give_way(tiers: Tiers, store: redis.Redis) -> None:
    tiers.keep(7, {0: block(23), 1: block()})
    tiers.demote(time.time() + 2 * HOUR)
    for tier in (HOT, FREQUENT):
        store.expire(f"{tiers._prefix}{tier}", 1_000)  # as an earlier version left them
    tiers.keep(7, {2: block(23)})
    tiers.demote(time.time() + 2 * HOUR)
    found = kept(tiers, store)
    assert {name for name, life in found.items() if life == -1} == {"hot", "frequent"}  # all else may be evicted


def test_the_set_of_hot_blocks_is_bounded_without_a_beat(tiers: Tiers, store: redis.Redis) -> None:
    store.zadd(f"{tiers._prefix}hot", {"7:0": time.time() - 8 * DAY, "7:1": time.time() - 6 * DAY})
    tiers.keep(7, {2: block()})
    assert store.zrange(f"{tiers._prefix}hot", 0, -1) == [b"7:1", b"7:2"]


def test_a_redis_without_a_limit_is_never_full(tiers: Tiers, store: redis.Redis) -> None:
    assert store.info("memory")["maxmemory"] == 0 or tiers._filled() < 80
    tiers.keep(7, {0: block()})
    assert tiers.relieve() == 0
