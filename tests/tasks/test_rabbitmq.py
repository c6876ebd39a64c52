"""Duties with RabbitMQ as the broker: done, done in the end when their process or the broker is killed."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import queue
from tests.chat.processes import until
from tests.rabbit import Rabbit
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew
from tests.tasks.test_sweeps import MANY, Table, table

__all__ = ["table"]


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[Rabbit]:
    with Rabbit(tmp_path / "rabbit") as made:
        yield made


def test_a_duty_is_done_in_the_end_whoever_is_killed(
    site: Site, rabbit: Rabbit, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Crew(tmp_path, {**site.environ, "CELERY_BROKER_URL": rabbit.url, "DATA_DIR": str(tmp_path)})
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET"):
        monkeypatch.setenv(name, site.environ[name])
    monkeypatch.setenv("CELERY_BROKER_URL", rabbit.url)
    monkeypatch.setattr(queue, "_away_until", 0.0)
    queue._sender.cache_clear()
    try:
        worker = crew.worker(processes=1)
        table.answers(MANY, "25 hours")
        assert queue.send("tasks.sweeps.answers", ())
        until(lambda: table.left() < MANY, "the sweep has begun")
        for process in crew.pool(worker):
            os.kill(process.pid, signal.SIGKILL)
        until(lambda: not table.left(), "the sweep is done")

        rabbit.kill()
        begun = time.monotonic()
        assert not queue.send("tasks.sweeps.answers", ())
        assert time.monotonic() - begun < 5
        table.answers(10, "25 hours")
        crew.two_hasty_beats()
        rabbit.start()
        until(lambda: queue.send("tasks.sweeps.answers", ()), "whoever sends found the broker again")
        until(lambda: not table.left(), "beat and worker found the broker again", 60)
    finally:
        crew.end()
        queue._sender().close()
        queue._sender.cache_clear()
