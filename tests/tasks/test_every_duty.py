"""Every duty that beat sends, by real workers: one killed in the middle of all, then the broker lost and back.

Two beats run all the time, in a hurry. One story for all of them, as their faults cost nothing more side by side: each
finds its work in the database or in Redis, whatever becomes of the tasks, and what is told is told once.
`tasks.offline.build`, which no beat sends, is in test_offline.py.
"""

import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine

import tasks
from tasks import orphans, presence, stores
from tests.chat.processes import until
from tests.chat.test_media import kept
from tests.chat.world import World
from tests.tasks.conftest import Site, forget_process
from tests.tasks.crew import Crew
from tests.tasks.halting import PLACES
from tests.tasks.receiver import SECRET, Receiver
from tests.tasks.test_orphans import put
from tests.tasks.test_sweeps import Table
from tests.tasks.test_tiers import filled
from tests.tasks.test_unread_sync import read_tally, tally_of
from tests.uploads.pictures import encoded
from uploads.storage import SHARDS, Folder, key_of

WITHIN = 60.0  # seconds for everything: two workers and two beats start at once
DAY = 86_400
Done = Callable[[], Any]


def is_there(folder: Folder, key: str) -> bool:
    with folder.fetched(key) as path:
        return path is not None


class Plant:
    """Everything that duties work on. A method for each makes work for it and returns what tells that it is done."""

    def __init__(self, site: Site, folder: Path, receiver: Receiver):
        self.site, self.receiver = site, receiver
        engine = create_engine(site.postgres.url)
        self.world, self.table = World(engine), Table(engine)
        self.redis = redis.Redis.from_url(site.redis.url)
        self.folder = Folder(folder / "uploads")
        self.told: list[str] = []

    def answers(self) -> Done:
        self.table.answers(3, "25 hours")
        return lambda: not self.table.left()

    def logins(self) -> Done:
        made = [self.table.login("device", "-8 days", "80 days") for _ in range(2)]
        return lambda: not self.world.rows("SELECT FROM logins WHERE id = ANY (:made)", made=made)

    def tickets(self) -> Done:
        digests = [os.urandom(32) for _ in range(3)]
        for digest in digests:
            self.world.sql("INSERT INTO tickets VALUES (:digest, 1, now() - interval '1 minute')", digest=digest)
        return lambda: not self.world.rows("SELECT FROM tickets WHERE digest = ANY (:digests)", digests=digests)

    def unused(self) -> Done:
        ann = self.world.person("Ann")
        made = [kept(self.world, ann) for _ in range(3)]
        self.world.sql("UPDATE media SET created_at = now() - interval '2 days' WHERE owner_id = :id", id=ann.user_id)
        return lambda: not self.world.rows("SELECT FROM media WHERE name = ANY (:made)", made=made)

    def files(self) -> Done:
        turn = int(time.time() / orphans.EVERY)
        shards = [SHARDS[place * orphans.AT_A_TIME % len(SHARDS)] for place in (turn, turn + 1)]
        keys = [[key_of("file", shard + os.urandom(15).hex(), ".bin") for _ in range(3)] for shard in shards]
        for key in chain(*keys):
            put(self.folder, key, 2 * DAY)
        # Of whichever turn it is when it is swept.
        return lambda: any(not any(is_there(self.folder, key) for key in turn) for turn in keys)

    def thumbnail(self) -> Done:
        name = kept(self.world, self.world.person("Ann"), thumbnail="pending", placeholder="")
        source = self.folder.incoming.path / name
        source.write_bytes(encoded("JPEG", 800, 600))
        self.folder.put(source, key_of("image", name, ".jpg"))
        self.world.sql("UPDATE media SET created_at = now() - interval '1 minute' WHERE name = :name", name=name)
        ready = "SELECT FROM media WHERE name = :name AND thumbnail = 'ready'"
        return lambda: self.world.rows(ready, name=name)

    def drift(self) -> Done:
        ann, bob = self.world.people("Ann", "Bob")
        self.world.send(self.world.group(ann, bob), ann)
        key, true = f"user:unread:{bob.user_id}", tally_of(self.world, bob)
        self.redis.set(key, true._replace(total=7).encoded())
        return lambda: read_tally(self.redis.get(key)) == true

    def blocks(self) -> Done:
        keys = filled(self.redis, 500)
        compressed = [key.replace(b"hot", b"frequent") for key in keys]
        return lambda: not self.redis.exists(*keys) and self.redis.exists(*compressed) == len(keys)

    def push(self) -> Done:
        ann, bob = self.world.people("Ann", "Bob")
        self.world.send(self.world.group(ann, bob), ann)
        self.told.append(bob.public_id)
        return lambda: self.redis.exists(f"push:told:{bob.user_id}")

    def departure(self) -> Done:
        """Have somebody be online by a process that says nothing more."""
        ann = self.world.person("Ann")
        presence._Sweep().step([["e", ann.public_id, os.urandom(4).hex(), 0]])
        seen = "SELECT FROM users WHERE id = :id AND last_seen_at IS NOT NULL"
        return lambda: (
            self.world.rows(seen, id=ann.user_id) and not self.redis.sismember("presence:online", ann.public_id)
        )

    def unhalted(self) -> list[str]:
        """Return the duties that are not in the middle of their work."""
        return [duty for duty in WORK if not self.redis.exists(f"halted:{duty}")]

    def all(self) -> dict[str, Done]:
        return {duty: getattr(self, work)() for duty, work in WORK.items()}


WORK = {
    "tasks.orphans.files": "files",
    "tasks.orphans.unused": "unused",
    "tasks.presence.sweep": "departure",
    "tasks.pushes.look": "push",
    "tasks.sweeps.answers": "answers",
    "tasks.sweeps.logins": "logins",
    "tasks.sweeps.tickets": "tickets",
    "tasks.thumbnails.make_up_for": "thumbnail",
    "tasks.tiers.demote": "blocks",
    "tasks.unread_sync.compare": "drift",
}
every_duty = pytest.mark.parametrize("duty", WORK)


@pytest.fixture(scope="module")
def plant(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A site without web processes, who would sweep presence themselves; they come back after it."""
    folder, receiver = tmp_path_factory.mktemp("plant"), Receiver()
    environ = {"DATA_DIR": str(folder), "PUSH_WEBHOOK_URL": receiver.url, "PUSH_WEBHOOK_SECRET": SECRET}
    site.web.kill()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**site.environ, **environ, "PRESENCE_GRACE": "1"}.items():
            patch.setenv(name, value)
        forget_process()
        made = Plant(site, folder, receiver)
        yield made
        made.world.engine.dispose()
        made.redis.close()
        stores.engine().dispose()
        forget_process()
    receiver.end()
    site.web.start()


@pytest.fixture(scope="module")
def crew(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two beats."""
    made = Crew(tmp_path_factory.mktemp("crew"), dict(os.environ))
    made.two_hasty_beats()
    yield made
    made.end()


@pytest.fixture(scope="module")
def killed(plant: Plant, crew: Crew) -> dict[str, Done]:
    """Work for each duty, whose worker was killed while it was in the middle of all of them, and another one."""
    begun = plant.all()
    processes = f"--concurrency={len(PLACES) + 1}"
    worker = crew.start("worker", processes, "--loglevel=WARNING", "-I", "tests.tasks.halting")
    until(lambda: not plant.unhalted(), "each duty is in the middle of its work", WITHIN)
    assert [duty for duty, done in begun.items() if done()] == []
    crew.kill(worker)
    plant.world.sql("UPDATE media SET look_at = now() WHERE look_at IS NOT NULL")  # what else is a minute's waiting
    crew.worker()
    return begun


@pytest.fixture(scope="module")
def lost(plant: Plant, killed: dict[str, Done]) -> dict[str, Done]:
    """Work that came while the broker was away, which has forgotten all when it is back."""
    until(lambda: all(done() for done in killed.values()), "the first work is done", WITHIN)
    plant.site.broker.kill()
    begun = plant.all()
    plant.site.broker.start()
    with redis.Redis.from_url(plant.site.broker.url) as client:
        client.flushall()
    return begun


def test_no_duty_of_the_beat_is_missing_here() -> None:
    modules = [import_module(f"tasks.{each.name}") for each in iter_modules(tasks.__path__) if each.name != "worker"]
    sent = {entry["task"] for module in modules for entry in getattr(module, "SCHEDULE", {}).values()}
    assert sent == set(WORK) == set(PLACES)


@every_duty
def test_it_is_done_in_the_end_when_its_worker_is_killed_in_the_middle(duty: str, killed: dict[str, Done]) -> None:
    until(killed[duty], "its work is done", WITHIN)


@every_duty
def test_it_is_done_when_the_broker_comes_back(duty: str, lost: dict[str, Done]) -> None:
    until(lost[duty], "its work is done", WITHIN)


def test_what_was_told_twice_was_the_same(plant: Plant, lost: dict[str, Done]) -> None:
    until(lost["tasks.pushes.look"], "its work is done", WITHIN)
    first, second = ([note["id"] for note in plant.receiver.notes(user)] for user in plant.told)
    # The process was killed when it was taken and not yet noted; until then others took its lane over, and did no more.
    assert len(first) > len(set(first)) == 1
    assert len(second) == 1
