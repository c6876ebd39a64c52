"""Telling events from a process without an event loop: heard by all, in their logs, and no error when Redis is away."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from chat.broker import Batch
from chat.frames import CONVERSATION, USER, Event
from chat.publishing import Publisher, log_name, own_channel
from chat.stores import redis_pool
from tests.chat.processes import ROOT
from tests.chat.world import DEFAULTS


class Station:
    """A publisher, and somebody who hears it."""

    def __init__(self, url: str):
        self.prefix = f"t{secrets.token_hex(4)}:"
        self.config = DEFAULTS | {"REDIS_PREFIX": self.prefix, "REDIS_URL": url}
        self.redis = redis_pool(self.config)
        self.redis.set(self.prefix + "event:epoch", "e")
        self.publisher = Publisher(self.redis, self.config)
        self.hearing = self.redis.pubsub()
        self.hearing.subscribe(self.prefix + "events")
        self.hearing.get_message(timeout=5)

    def heard(self) -> Any:
        message = self.hearing.get_message(timeout=5)
        return message and Batch(message["data"])

    def close(self) -> None:
        self.hearing.close()
        for key in self.redis.scan_iter(self.prefix + "*"):
            self.redis.delete(key)
        self.redis.close()


@pytest.fixture
def station(redis_url: str) -> Iterator[Station]:
    made = Station(redis_url)
    yield made
    made.close()


def message(change: int) -> Event:
    return Event.of("message", {"change": change}, CONVERSATION, 7, change=change, seq=change)


def test_all_who_listen_hear_it_numbered_and_whole(station: Station) -> None:
    assert station.publisher.tell([message(1), Event.of("hint", {}, USER, 3, logged=False)])
    batch = station.heard()
    assert (batch.before, batch.epoch) == (0, "e")
    assert [(event.name, event.n, event.target) for event in batch.events()] == [("message", 1, 7), ("hint", 2, 3)]


def test_it_stands_in_its_log(station: Station) -> None:
    station.publisher.tell([message(1), message(2), Event.of("hint", {}, USER, 3, logged=False)])
    assert station.redis.xlen(station.prefix + log_name(CONVERSATION, 7)) == 2
    assert not station.redis.exists(station.prefix + log_name(USER, 3))


def test_a_redis_that_forgot_the_script_learns_it_again(station: Station) -> None:
    station.redis.script_flush()
    assert station.publisher.tell([message(1)])
    assert station.publisher.tell([message(2)])
    assert [station.heard().last, station.heard().last] == [1, 2]


def test_a_wiped_redis_takes_nothing_until_a_web_process_has_begun_a_new_epoch(station: Station) -> None:
    station.redis.delete(station.prefix + "event:epoch")
    assert not station.publisher.tell([message(1)])
    assert not station.redis.exists(station.prefix + "event:n")


def test_one_process_alone_can_be_told(station: Station) -> None:
    assert not station.publisher.post("me", b"hello")
    station.hearing.subscribe(own_channel(station.prefix, "me"))
    station.hearing.get_message(timeout=5)
    assert station.publisher.post("me", b"hello")
    assert station.hearing.get_message(timeout=5)["data"] == b"hello"


def test_a_redis_that_is_away_is_no_error() -> None:
    config = DEFAULTS | {"REDIS_URL": "redis://127.0.0.1:1"}
    redis: Redis = redis_pool(config)
    assert not Publisher(redis, config).tell([message(1)])
    assert Publisher(redis, config).tell([])


@pytest.mark.parametrize("module", ["chat.publishing", "chat.stores", "tasks.stores"])
def test_what_a_duty_needs_brings_no_event_loop(module: str) -> None:
    code = f"import sys, {module}; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
