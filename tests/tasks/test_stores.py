"""What a process of the pool holds."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from chat.frames import USER, Event
from tasks import stores

MADE = (stores.settings, stores.engine, stores.redis, stores.publisher)


@pytest.fixture
def process(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose environment is a worker's, and that holds nothing yet."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": "s" * 32, "REDIS_PREFIX": "s:"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for made in MADE:
        made.cache_clear()
    yield
    stores.engine().dispose()
    stores.redis().close()
    for made in MADE:
        made.cache_clear()


@pytest.mark.usefixtures("process")
def test_it_holds_one_connection_to_the_database_and_keeps_it() -> None:
    for _ in range(2):
        with stores.engine().connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
            assert stores.engine().pool.checkedout() == 1  # type: ignore[attr-defined]  # what a pool has, not its base
    assert stores.engine().pool.size() == 1  # type: ignore[attr-defined]


@pytest.mark.usefixtures("process")
def test_it_tells_clients_of_events() -> None:
    stores.redis().set("s:event:epoch", "e")
    assert stores.publisher().tell([Event.of("hint", {}, USER, 1, logged=False)])
    stores.redis().delete("s:event:epoch", "s:event:n")
