"""A deployment whose broker is a Redis of its own, so that each can be lost without the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.launcher.embedded_redis import Redis
from tasks import stores
from tests.clients.crowd import Crowd
from tests.deployment import Deployment
from tests.tasks.crew import Crew


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
    _forget()
    yield
    stores.engine().dispose()
    stores.redis().close()
    _forget()


def _forget() -> None:
    for made in (stores.settings, stores.engine, stores.redis, stores.publisher, stores.storage):
        made.cache_clear()


@pytest.fixture
def crowd(site: Site) -> Iterator[Crowd]:
    """The people of a test."""
    with Crowd([web.url for web in site.webs], site.postgres.url) as made:
        yield made
