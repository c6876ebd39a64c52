"""A deployment whose broker is a Redis of its own, so that each can be lost without the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine

from chat.launcher.embedded_redis import Redis
from tasks import stores
from tasks.absence import absent
from tests.chat.processes import until
from tests.chat.world import World
from tests.clients.crowd import Crowd
from tests.deployment import Deployment
from tests.tasks.crew import Crew
from tests.tasks.receiver import SECRET, Receiver


class Site(Deployment):
    """A deployment with a broker beside it."""

    def __init__(self, folder: Path):
        self.broker = Redis(folder / "broker")
        super().__init__(
            folder,
            CELERY_BROKER_URL=f"redis+socket://{self.broker.url.removeprefix('unix://')}?virtual_host=0",
            MESSAGE_RATE=1_000,
            MESSAGE_BURST=10_000,
            COMMAND_RATE=2_000,
            COMMAND_BURST=10_000,
        )

    def start(self) -> "Site":
        self.broker.start()
        super().start()
        return self

    def stop(self) -> None:
        super().stop()
        self.broker.stop()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running one. What a test ends of it, it starts again."""
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def crew(site: Site, tmp_path: Path) -> Iterator[Crew]:
    """Whoever does the tasks of the site; nobody yet."""
    made = Crew(tmp_path, {**site.environ, "DATA_DIR": str(tmp_path)})
    yield made
    made.end()


@pytest.fixture
def process(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this process one that does tasks: a duty called here is done here."""
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "CELERY_BROKER_URL"):
        monkeypatch.setenv(name, site.environ[name])
    forget_process()
    yield
    stores.engine().dispose()
    stores.redis().close()
    forget_process()


def forget_process() -> None:
    """Forget what this process holds as one that does tasks."""
    for made in (stores.settings, stores.engine, stores.redis, stores.publisher, stores.storage):
        made.cache_clear()


@pytest.fixture
def crowd(site: Site) -> Iterator[Crowd]:
    """The people of a test."""
    with Crowd([web.url for web in site.webs], site.postgres.url) as made:
        yield made


@pytest.fixture
def world(site: Site) -> Iterator[World]:
    """People, conversations and messages, written straight into the database of the site."""
    engine = create_engine(site.postgres.url)
    yield World(engine)
    engine.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where pushes go to."""
    made = Receiver()
    yield made
    made.end()


@pytest.fixture
def pushing(
    receiver: Receiver, process: None, site: Site, world: World, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Have this process push to the receiver; nobody was told of anything, and presence knows who is there.

    Its value: the settings of a worker that does so, too.
    """
    made = {"PUSH_WEBHOOK_URL": receiver.url, "PUSH_WEBHOOK_SECRET": SECRET}
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    stores.settings.cache_clear()
    until(lambda: absent(["nobody"]), "all web processes have said whom they hold")
    world.sql("UPDATE memberships SET quiet = true")  # what other tests left is none of ours
    yield made
    forget("push:*")


def forget(pattern: str) -> None:
    """Remove keys from the Redis of the site."""
    with redis.Redis.from_url(stores.settings()["REDIS_URL"]) as client:
        for key in client.scan_iter(pattern):
            client.delete(key)
