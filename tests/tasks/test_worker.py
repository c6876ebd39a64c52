"""Celery's entry: a real worker and a real beat on a Redis of our own."""

import os
import signal
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import redis

from chat.launcher.embedded_redis import Redis
from tests.chat.processes import DEADLINE, descendants, gone, left_of, plain_environ, until
from tests.tasks.crew import Crew


class Lone(Crew):
    """A worker, a beat, and the Redis between them; no database."""

    def __init__(self, folder: Path):
        self.server = Redis(folder / "redis").start()
        settings = {"DATABASE_URL": "postgresql+psycopg://nowhere/", "JWT_SECRET": "s" * 32, "REDIS_PREFIX": "a:"}
        super().__init__(folder, plain_environ(**settings, REDIS_URL=self.server.url, DATA_DIR=str(folder)))
        self.client = redis.Redis.from_url(self.server.url, decode_responses=True)

    def said(self, word: str, times: int = 1) -> list[int]:
        """Wait until the duties have said `word` so often; return the processes that did."""

        def heard() -> list[int]:
            words = [line.split() for line in self.client.lrange("said", 0, -1)]
            pids = [int(pid) for said, pid in words if said == word]
            return pids if len(pids) >= times else []

        return until(heard, f"{word} is said {times} times")

    def end(self) -> None:
        super().end()
        self.client.close()
        self.server.stop()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Lone]:
    made = Lone(tmp_path)
    yield made
    made.end()


def test_a_heartbeat_comes_at_once_and_again_and_expires(crew: Lone) -> None:
    crew.worker()
    crew.beat()
    first = until(lambda: crew.client.get("a:celery:heartbeat"), "a heartbeat")
    assert 0 < crew.client.ttl("a:celery:heartbeat") <= 60
    until(lambda: crew.client.get("a:celery:heartbeat") != first, "another one")
    assert list(crew.folder.glob("celerybeat-schedule*"))


def test_the_worker_is_not_patched(crew: Lone) -> None:
    crew.worker()
    crew.send("duties.look")
    assert crew.said("plain")


def test_after_flushall_a_task_still_finds_its_queue(crew: Lone) -> None:
    crew.worker()
    crew.send("duties.look")
    crew.said("plain")
    crew.client.flushall()
    crew.send("duties.look")
    crew.said("plain")


def test_a_task_whose_process_is_killed_is_done_by_another(crew: Lone) -> None:
    crew.worker()
    crew.send("duties.linger", 2)
    (first,) = crew.said("begun")
    os.kill(first, signal.SIGKILL)
    assert crew.said("begun", times=2)[1] != first
    crew.said("ended")


def test_the_pool_ends_with_a_killed_worker_even_in_the_middle_of_a_task(crew: Lone) -> None:
    worker = crew.worker()
    crew.send("duties.linger", 600)
    (busy,) = crew.said("begun")
    family = descendants(worker.pid)
    assert busy in {process.pid for process in family}
    worker.kill()
    worker.wait()
    until(lambda: left_of(family) == [], "the pool has ended")


def test_a_worker_that_is_told_to_stop_puts_back_what_takes_too_long(crew: Lone) -> None:
    worker = crew.worker()
    crew.send("duties.linger", 600)
    (busy,) = crew.said("begun")
    start = time.monotonic()
    worker.send_signal(signal.SIGQUIT)
    worker.wait(DEADLINE)
    assert time.monotonic() - start < 9
    assert gone(busy)
    crew.worker()
    assert crew.said("begun", times=2)


def test_a_beat_that_is_killed_again_and_again_goes_on_with_its_schedule_file(crew: Lone) -> None:
    crew.worker()
    for _ in range(3):
        crew.client.delete("a:celery:heartbeat")
        beat = crew.beat()
        until(lambda: crew.client.get("a:celery:heartbeat"), "a heartbeat")
        beat.kill()
        beat.wait()


def test_beat_sends_what_the_duties_say(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"DATABASE_URL": "postgresql+psycopg://nowhere/", "REDIS_URL": "redis://nowhere/"}
    for name, value in {**settings, "JWT_SECRET": "s" * 32}.items():
        monkeypatch.setenv(name, value)
    worker = import_module("tasks.worker")
    duty = ModuleType("duty")
    duty.SCHEDULE = {"sweep": {"task": "tasks.duty.sweep", "schedule": 60, "options": {"expires": 5}}}  # type: ignore[attr-defined]
    schedule = worker._schedule([duty, ModuleType("without")])
    assert schedule["sweep"]["task"] == "tasks.duty.sweep"
    assert schedule["sweep"]["options"]["expires"] == 5
    assert schedule["heartbeat"]["options"]["expires"] == schedule["heartbeat"]["schedule"]
