"""Celery's heartbeat seen from outside, in a Redis that comes and goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from chat.launcher.embedded_redis import Redis
from chat.launcher.heartbeat import LOOK_SECONDS, PATIENCE, Heartbeat


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as started:
        yield started


def beat(server: Redis, value: str, key: str = "celery:heartbeat") -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(key, value)


def silence(heartbeat: Heartbeat, start: float, end: float) -> list[float]:
    """Ask every second; return the times at which it was silent."""
    return [now for now in range(int(start), int(end)) if heartbeat.is_silent(float(now))]


def test_a_worker_that_never_beats_is_silent_after_the_patience_and_again_after_another(server: Redis) -> None:
    heartbeat = Heartbeat(server.url)
    heartbeat.expect(100.0)
    assert silence(heartbeat, 100, 200) == [100 + PATIENCE, 100 + 2 * PATIENCE]


def test_each_beat_begins_the_patience_anew(server: Redis) -> None:
    heartbeat = Heartbeat(server.url, "prefix:")
    heartbeat.expect(0.0)
    for now in range(0, 200, 20):
        beat(server, f"at {now}", "prefix:celery:heartbeat")
        assert silence(heartbeat, now, now + 20) == []


def test_an_old_value_that_stays_is_no_beat(server: Redis) -> None:
    heartbeat = Heartbeat(server.url)
    beat(server, "the last one")
    heartbeat.expect(0.0)
    assert len(silence(heartbeat, 0, 60)) == 1


def test_while_redis_is_away_nobody_is_called_silent(server: Redis) -> None:
    heartbeat = Heartbeat(server.url)
    heartbeat.expect(0.0)
    server.kill()
    assert silence(heartbeat, 0, 200) == []
    server.start()
    assert silence(heartbeat, 200, 200 + int(PATIENCE + LOOK_SECONDS) + 1) != []
