"""What a process of the pool holds."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from chat.frames import USER, Event
from tasks import stores
from tests.tasks.conftest import Site
from uploads.storage.s3 import S3

pytestmark = pytest.mark.usefixtures("process")


def test_it_holds_one_connection_to_the_database_and_keeps_it() -> None:
    pids = set()
    for _ in range(2):
        with stores.engine().connect() as connection:
            pids.add(connection.execute(text("SELECT pg_backend_pid()")).scalar())
            assert stores.engine().pool.checkedout() == 1  # type: ignore[attr-defined]  # what a pool has, not its base
    assert stores.engine().pool.size() == 1  # type: ignore[attr-defined]
    assert len(pids) == 1


def test_a_database_that_was_restarted_is_found_again_without_a_failure(site: Site) -> None:
    with stores.engine().connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    with psycopg.connect(site.postgres.admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    with stores.engine().connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_it_tells_clients_of_events() -> None:
    assert stores.publisher().tell([Event.of("hint", {}, USER, 1, logged=False)])


def test_it_keeps_one_client_of_the_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("STORAGE_URL", "s3://key:secret@127.0.0.1:1/bucket")
    assert stores.storage() is stores.storage()
    assert isinstance(stores.storage(), S3)
