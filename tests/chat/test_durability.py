"""What PostgreSQL was told to forget in a crash, it keeps for our connections all the same."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text

from chat.durability import check, complaints
from chat.postgres import Statement
from chat.stores import database_pool
from tests.chat.world import DEFAULTS

SHOW = "SELECT current_setting('synchronous_commit')"


@pytest.fixture(params=["off", "local"])
def careless(engine: Engine, database_url: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The database while synchronous_commit is set so for the role that we connect as, and how."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER ROLE CURRENT_USER SET synchronous_commit = {request.param}"))
        yield database_url, request.param
        connection.execute(text("ALTER ROLE CURRENT_USER RESET synchronous_commit"))


def test_every_connection_that_acknowledges_waits_for_the_disk(careless: tuple[str, str]) -> None:
    url, value = careless
    wanted = "on" if value == "off" else value
    statement = Statement(url, SHOW, "chat test")
    assert (statement.run() or b"").decode() == wanted
    statement.close()
    pool = database_pool(DEFAULTS | {"DATABASE_URL": url})
    for _ in range(2):
        with pool.connect() as connection:  # rolled back at the end, and given again
            assert connection.execute(text(SHOW)).scalar_one() == wanted
    assert pool.pool.checkedin() == 1  # type: ignore[attr-defined]
    pool.dispose()


def test_the_check_tells_what_the_role_was_given_and_not_what_a_connection_set(
    careless: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    url, value = careless
    pool = database_pool(DEFAULTS | {"DATABASE_URL": url})
    with pool.connect() as connection:
        check(connection)
    pool.dispose()
    assert len(caplog.messages) == (value == "off")
    assert all("synchronous_commit is off" in message for message in caplog.messages)


def test_a_careless_connection_without_our_care_would_not_wait(careless: tuple[str, str]) -> None:
    url, value = careless
    plain = create_engine(url)
    with plain.connect() as connection:
        assert connection.execute(text(SHOW)).scalar_one() == value
    plain.dispose()


@pytest.mark.parametrize("value", ["on", "local", "remote_write", "remote_apply"])
def test_whatever_waits_for_the_disk_is_no_complaint(value: str) -> None:
    assert complaints({"fsync": "on", "synchronous_commit": value}) == []


def test_what_does_not_is_named_each_with_what_to_do() -> None:
    disk, commit = complaints({"fsync": "off", "synchronous_commit": "off"})
    assert "fsync=off" in disk
    assert "Set it on" in disk
    assert "synchronous_commit is off" in commit
