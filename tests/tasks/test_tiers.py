"""The duty of demotion; by real workers and with faults in test_every_duty.py."""

import time
from collections.abc import Iterator

import pytest
import redis

from chat.blocks import Block
from chat.config import SETTINGS
from chat.tiers import Tiers
from tasks import tiers
from tests.tasks.conftest import Site

AGED = 86_400 + 60  # seconds


@pytest.fixture
def store(site: Site) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(site.redis.url) as made:
        yield made
        for key in made.scan_iter("history:*", count=1_000):
            made.delete(key)


def filled(store: redis.Redis, count: int) -> list[bytes]:
    """Keep hot blocks, and let them age."""
    kept = Tiers(store, {setting.name: setting.default for setting in SETTINGS})
    now = time.time()
    kept.keep(1, {place: Block("g", 1, 1, int(now * 1e6), [b"{}"] * 16) for place in range(count)})
    store.zadd("history:hot", {f"1:{place}": now - AGED for place in range(count)})
    return [f"history:hot:1:{place}".encode() for place in range(count)]


@pytest.mark.usefixtures("process")
def test_a_run_demotes_what_is_due(store: redis.Redis) -> None:
    keys = filled(store, 3)
    assert tiers.demote() == 3
    assert store.exists(*keys) == 0
    assert store.exists(*[key.replace(b"hot", b"frequent") for key in keys]) == 3
    assert tiers.demote() == 0
