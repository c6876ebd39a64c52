"""How a process reaches its stores: bounded in number and in time, and never by a second try of its own."""

import socket
import threading

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chat import stores
from chat.stores import database_pool, redis_pool
from tests.chat.processes import DEADLINE

LAST = b"last"


def test_a_connection_to_the_database_gives_up_what_takes_too_long(database_url: str) -> None:
    engine = database_pool({"DATABASE_URL": database_url, "DATABASE_POOL": 1})
    with engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in (
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
                "TimeZone",
                "enable_seqscan",
                "application_name",
            )
        }
    engine.dispose()
    assert settings == {
        "lock_timeout": "1s",
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "5s",
        "TimeZone": "UTC",
        "enable_seqscan": "off",
        "application_name": "chat",
    }


def test_the_pool_holds_no_more_connections_than_set(database_url: str) -> None:
    engine = database_pool({"DATABASE_URL": database_url, "DATABASE_POOL": 2})
    engine.pool._timeout = 0.01  # type: ignore[attr-defined]  # five seconds otherwise
    with engine.connect(), engine.connect(), pytest.raises(PoolTimeoutError):
        engine.connect()
    engine.dispose()


def test_what_people_write_does_not_stand_in_an_error(database_url: str) -> None:
    engine = database_pool({"DATABASE_URL": database_url, "DATABASE_POOL": 1})
    with engine.connect() as connection, pytest.raises(ProgrammingError) as caught:
        connection.execute(text("SELECT nothing(:secret)"), {"secret": "dear diary"})
    engine.dispose()
    assert "dear diary" not in str(caught.value)


def test_redis_is_reached(redis_url: str) -> None:
    with redis_pool({"REDIS_URL": redis_url}) as client:
        assert client.ping()


def test_a_lost_redis_is_noticed_once_and_not_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        came: list[int] = []
        thread = threading.Thread(target=hang_up_on_all, args=(server, came))
        thread.start()
        address = server.getsockname()
        with redis_pool({"REDIS_URL": f"redis://127.0.0.1:{address[1]}"}) as client, pytest.raises(redis.RedisError):
            client.get("key")
        with socket.create_connection(address) as last:
            last.sendall(LAST)
        thread.join(DEADLINE)
    assert came == [1]


def test_a_redis_that_does_not_answer_is_waited_for_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "REDIS_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with redis_pool({"REDIS_URL": url}) as client, pytest.raises(redis.TimeoutError):
            client.get("key")


def hang_up_on_all(server: socket.socket, came: list[int]) -> None:
    """Hang up on whoever speaks, and count them, until one says that they are the last."""
    while True:
        with server.accept()[0] as connection:
            if connection.recv(1_000) == LAST:
                return
            came.append(1)
