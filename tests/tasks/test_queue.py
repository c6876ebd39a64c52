"""The queue as those see it who enqueue."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from chat.launcher.embedded_redis import Redis
from tasks import queue
from tests.chat.processes import until
from tests.deployment import free_port


@pytest.mark.parametrize(
    ("given", "chat", "broker"),
    [
        ("amqp://rabbit//", "redis://host/0", "amqp://rabbit//"),
        ("", "redis://host:6379/0", "redis://host:6379/1"),
        ("", "redis://host", "redis://host/1"),
        ("", "rediss://user:pass@host:6380/4?ssl_cert_reqs=none", "rediss://user:pass@host:6380/5?ssl_cert_reqs=none"),
        ("", "unix:///a/redis.sock", "redis+socket:///a/redis.sock?virtual_host=1"),
    ],
)
def test_the_broker_is_the_one_given_or_the_next_database(given: str, chat: str, broker: str) -> None:
    assert queue.broker_url({"CELERY_BROKER_URL": given, "REDIS_URL": chat}) == broker


def test_two_deployments_that_share_a_broker_have_a_queue_each(server: Redis) -> None:
    ours, theirs = ({"CELERY_BROKER_URL": "", "REDIS_URL": server.url, "REDIS_PREFIX": name} for name in ("a:", "b:"))
    celery = queue.connect(ours, set_as_current=False)
    celery.send_task("a.task.of.ours")
    celery.close()
    assert (queue.waiting(ours), queue.waiting(theirs)) == (1, 0)
    other = queue.connect(theirs, set_as_current=False)
    assert [each.name for each in other.amqp.queues.consume_from.values()] == ["b:chat"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as started:
        monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nowhere/")
        monkeypatch.setenv("JWT_SECRET", "s" * 32)
        monkeypatch.setenv("REDIS_URL", started.url)
        monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
        monkeypatch.setattr(queue, "_away_until", 0.0)
        queue._sender.cache_clear()
        yield started
        queue._sender().close()
        queue._sender.cache_clear()


def waiting(server: Redis) -> int:
    with redis.Redis.from_url(f"{server.url}?db=1") as client:
        return client.llen("chat")


def test_a_task_waits_in_the_one_queue_beside_the_keys_of_the_chat(server: Redis) -> None:
    assert queue.send("tasks.some.duty", (1, "two"))
    assert waiting(server) == 1
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0


def test_flushall_takes_the_tasks_but_not_the_queue(server: Redis) -> None:
    assert queue.send("tasks.some.duty", ())
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    assert queue.send("tasks.some.duty", ())
    assert waiting(server) == 1


def test_a_broker_that_hangs_costs_two_seconds_once_however_many_send(server: Redis) -> None:
    assert queue.send("tasks.some.duty", ())
    os.kill(server.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(40) as threads:
            taken = list(threads.map(lambda _: queue.send("tasks.some.duty", ()), range(40)))
        assert not any(taken)
        assert time.monotonic() - begun < 2 * queue.SEND_SECONDS
        begun = time.monotonic()
        assert not queue.send("tasks.some.duty", ())
        assert time.monotonic() - begun < 0.1
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until(lambda: queue.send("tasks.some.duty", ()), "it is asked again")


def test_a_broker_that_is_away_costs_a_moment_and_one_that_came_back_nothing(server: Redis) -> None:
    assert queue.send("tasks.some.duty", ())
    server.kill()
    server.start()
    assert queue.send("tasks.some.duty", ())  # over a connection that had died
    server.kill()
    begun = time.monotonic()
    assert not queue.send("tasks.some.duty", ())
    assert time.monotonic() - begun < 1
    server.start()
    until(lambda: queue.send("tasks.some.duty", ()), "it is asked again")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_port_where_nobody_listens_or_answers_costs_no_more(
    scheme: str, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url, seconds in ((silent.getsockname()[1], 2 * queue.SEND_SECONDS), (free_port(), 1)):
            monkeypatch.setenv("CELERY_BROKER_URL", f"{scheme}://127.0.0.1:{url}/0")
            monkeypatch.setattr(queue, "_away_until", 0.0)
            queue._sender.cache_clear()
            begun = time.monotonic()
            assert not queue.send("tasks.some.duty", ())
            assert time.monotonic() - begun < seconds
            queue._sender().close()
