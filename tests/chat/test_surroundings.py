"""What stands under a server tells its numbers, and what does not answer is told as not there, soon."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis import Redis
from sqlalchemy import Engine, text

from chat.launcher import embedded_redis
from chat.surroundings import DRIFT, DUTIES, HEARTBEAT, WAIT_SECONDS, Surroundings
from tasks.queue import connect

PREFIX = "surroundings:"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded_redis.Redis]:
    """A Redis of the test's own: broker and store in one."""
    with embedded_redis.Redis(tmp_path / "redis") as made:
        yield made


def told(surroundings: Surroundings) -> dict[str, float]:
    """Return the numbers by name and label."""
    registry = CollectorRegistry()
    registry.register(surroundings)
    text_of = generate_latest(registry).decode()
    return {name: float(value) for name, value in re.findall(r"^(chat_\S+) (\S+)$", text_of, re.MULTILINE)}


def of(engine: Engine, server: embedded_redis.Redis, *, storage: bool = True, **config: Any) -> Surroundings:
    redis = Redis.from_url(server.url, socket_timeout=0.5)
    given = {"REDIS_PREFIX": PREFIX, "REDIS_URL": server.url, "CELERY_BROKER_URL": "", "DATA_DIR": "", **config}
    return Surroundings(engine, redis, given, lambda: storage)


def test_everything_that_is_there_tells_its_numbers(
    engine: Engine, server: embedded_redis.Redis, tmp_path: Path
) -> None:
    surroundings = of(engine, server, DATA_DIR=str(tmp_path))
    with engine.connect() as held:
        held.execute(text("SELECT 1"))
        found = told(surroundings)
    parts = {name for name, value in found.items() if name.startswith("chat_part_up") and value == 1}
    assert parts == {
        f'chat_part_up{{part="{part}"}}' for part in ("database", "redis", "tasks", "broker", "disk", "storage")
    }
    assert found["chat_database_connections"] >= 1
    assert found["chat_database_max_connections"] >= found["chat_database_connections"]
    assert found["chat_database_size_bytes"] > 1_000_000
    assert found["chat_database_oldest_transaction_seconds"] > 0
    assert 0 < found["chat_redis_memory_bytes"] < found["chat_redis_max_memory_bytes"]
    assert found["chat_redis_clients"] >= 1
    assert found["chat_redis_evicted_keys_total"] == 0
    assert 0 < found["chat_disk_free_bytes"] <= found["chat_disk_size_bytes"]
    assert found["chat_tasks_waiting"] == 0


def test_tasks_that_wait_are_counted(engine: Engine, server: embedded_redis.Redis) -> None:
    surroundings = of(engine, server)
    celery = connect({"CELERY_BROKER_URL": "", "REDIS_URL": server.url, "REDIS_PREFIX": PREFIX}, set_as_current=False)
    for _ in range(3):
        celery.send_task("nobody.does.it")
    celery.close()
    assert told(surroundings)["chat_tasks_waiting"] == 3


def test_a_heartbeat_has_an_age_and_without_one_it_is_endless(engine: Engine, server: embedded_redis.Redis) -> None:
    surroundings = of(engine, server)
    assert told(surroundings)["chat_tasks_heartbeat_age_seconds"] == float("inf")
    with Redis.from_url(server.url) as redis:
        redis.set(PREFIX + HEARTBEAT, orjson.dumps({"time": time.time() - 7, "host": "one"}))
    assert 7 <= told(surroundings)["chat_tasks_heartbeat_age_seconds"] < 17


def test_what_became_of_each_duty_is_told(engine: Engine, server: embedded_redis.Redis) -> None:
    record = {"runs": 5, "failures": 1, "lastSuccess": 1_700_000_000.0, "seconds": 0.25}
    with Redis.from_url(server.url) as redis:
        redis.hset(PREFIX + DUTIES, "tasks.sweeps.logins", orjson.dumps(record))
    found = told(of(engine, server))
    label = '{duty="tasks.sweeps.logins"}'
    assert found[f"chat_duty_runs_total{label}"] == 5
    assert found[f"chat_duty_failures_total{label}"] == 1
    assert found[f"chat_duty_last_success_timestamp_seconds{label}"] == 1_700_000_000
    assert found[f"chat_duty_seconds{label}"] == 0.25


def test_drift_of_unread_keys_is_told(engine: Engine, server: embedded_redis.Redis) -> None:
    def numbers() -> list[float]:
        found = told(of(engine, server))
        return [found[f"chat_unread_keys_{name}_total"] for name in ("checked", "drifted")]

    assert numbers() == [0, 0]
    with Redis.from_url(server.url) as redis:
        redis.hset(f"{PREFIX}{DRIFT}", mapping={"checked": 7, "found": 2, "lastRun": 1})
    assert numbers() == [7, 2]


def test_a_redis_that_hangs_is_told_as_not_there_and_takes_no_other_number_along(
    engine: Engine, server: embedded_redis.Redis
) -> None:
    surroundings = of(engine, server)
    os.kill(server.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        found = told(surroundings)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert time.monotonic() - begun < 10 * WAIT_SECONDS, "here nothing is patched, and one question waits for the other"
    assert found['chat_part_up{part="redis"}'] == found['chat_part_up{part="tasks"}'] == 0
    assert found['chat_part_up{part="database"}'] == 1
    assert "chat_redis_clients" not in found


@pytest.mark.parametrize("there", [True, False])
def test_a_storage_elsewhere_is_told_as_there_or_not(engine: Engine, server: embedded_redis.Redis, there: bool) -> None:
    assert told(of(engine, server, storage=there))['chat_part_up{part="storage"}'] == there
