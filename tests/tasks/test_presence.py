"""Who was online when all web processes died: marked offline by Celery, by one of many, and told once."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis

from chat.broker import Batch
from tasks import presence
from tests.chat.processes import until
from tests.clients.crowd import Crowd
from tests.deployment import wait_for
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew

PATIENCE = 30.0  # seconds
STARTED_WITHIN = 60.0  # for two workers and two beats at once


class Watch:
    """Somebody who looks at Redis and hears what is told."""

    def __init__(self, site: Site):
        self.client = redis.Redis.from_url(site.redis.url)
        self._hearing = self.client.pubsub()
        self._hearing.subscribe("events")
        self._site = site
        self.told: list[dict[str, Any]] = []

    def online(self) -> int:
        return int(self.client.scard("presence:online"))

    def processes(self) -> int:
        return int(self.client.zcard("presence:processes"))

    def swept(self) -> bool:
        """Tell whether a duty is at it."""
        return any(name.startswith(b"celery") for name in self.client.zrange("presence:processes", 0, -1))

    def hear(self) -> list[dict[str, Any]]:
        """Return who was told to have gone so far."""
        while (heard := self._hearing.get_message(timeout=0.05)) is not None:
            if heard["type"] == "message":
                events = Batch(heard["data"]).events()
                self.told += [event.data for event in events if event.name == "presence" and not event.data["online"]]
        return self.told

    def seen(self, person: str) -> bool:
        with psycopg.connect(self._site.postgres.url.replace("+psycopg", "")) as connection:
            row = connection.execute("SELECT last_seen_at FROM users WHERE public_id = %s", [person]).fetchone()
        return row is not None and row[0] is not None

    def close(self) -> None:
        self._hearing.close()
        self.client.close()


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    made = Watch(site)
    yield made
    made.close()


@pytest.mark.usefixtures("process")
def test_while_a_web_process_lives_nothing_is_touched(crowd: Crowd, watch: Watch) -> None:
    crowd.device(crowd.person())
    until(lambda: watch.online() == 1, "she is online")
    before = watch.processes()
    presence.sweep()
    assert (watch.online(), watch.processes()) == (1, before)


def test_when_all_web_processes_have_died_their_users_go_and_one_tells(
    crowd: Crowd, site: Site, crew: Crew, watch: Watch
) -> None:
    people = crowd.persons(3)
    for person in people:
        crowd.device(person, auto=False)
    until(lambda: watch.online() >= 3, "they are online")
    crew.environ["PRESENCE_GRACE"] = "1"
    workers = [crew.worker(processes=1), crew.worker(processes=1)]
    crew.two_hasty_beats()
    site.web.kill()
    try:
        until(watch.swept, "a duty that sweeps", STARTED_WITHIN)
        for process in crew.pool(workers[0]):  # killed in the middle, both or one of them
            os.kill(process.pid, signal.SIGKILL)
        until(lambda: not watch.online(), "nobody is online")
        until(lambda: all(watch.seen(person.id) for person in people), "it is noted when they were seen")
        until(lambda: len(watch.hear()) >= len(people) and not watch.client.zcard("presence:turns"), "all is told")
        mine = [event["userId"] for event in watch.told if event["userId"] in {person.id for person in people}]
        assert sorted(mine) == sorted(person.id for person in people)
        until(lambda: watch.processes() == 0, "the duty leaves nothing behind")
    finally:
        site.web.start()
        wait_for(site.web.is_ready, PATIENCE, "the web server to be ready again")
