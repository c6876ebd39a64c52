"""What a process of the pool holds."""

import pytest
from sqlalchemy import text

from chat.frames import USER, Event
from tasks import stores

pytestmark = pytest.mark.usefixtures("process")


def test_it_holds_one_connection_to_the_database_and_keeps_it() -> None:
    pids = set()
    for _ in range(2):
        with stores.engine().connect() as connection:
            pids.add(connection.execute(text("SELECT pg_backend_pid()")).scalar())
            assert stores.engine().pool.checkedout() == 1  # type: ignore[attr-defined]  # what a pool has, not its base
    assert stores.engine().pool.size() == 1  # type: ignore[attr-defined]
    assert len(pids) == 1


def test_it_tells_clients_of_events() -> None:
    assert stores.publisher().tell([Event.of("hint", {}, USER, 1, logged=False)])
