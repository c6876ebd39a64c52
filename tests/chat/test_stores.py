"""How a process reaches its stores: bounded, and without trying again by itself."""

import pytest
from redis import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chat import stores
from chat.stores import database_pool, redis_pool
from tests.chat.world import DEFAULTS


def test_a_unit_of_work_is_bounded_in_time_and_speaks_utc(database_url: str) -> None:
    engine = database_pool(DEFAULTS | {"DATABASE_URL": database_url})
    with engine.connect() as connection:
        settings = [
            connection.execute(text(f"SHOW {name}")).scalar()
            for name in ("statement_timeout", "lock_timeout", "TimeZone")
        ]
    assert settings == ["5s", "1s", "UTC"]
    engine.dispose()


def test_there_are_no_more_connections_than_the_setting_says(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = database_pool(DEFAULTS | {"DATABASE_URL": database_url, "DATABASE_POOL": 2})
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    held = [engine.connect() for _ in range(2)]
    with pytest.raises(PoolTimeoutError):
        engine.connect()
    for connection in held:
        connection.close()
    engine.dispose()


def test_an_error_tells_nothing_of_what_people_write(database_url: str) -> None:
    engine = database_pool(DEFAULTS | {"DATABASE_URL": database_url})
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT CAST(:secret AS int)"), {"secret": "what people write"})
    assert "[parameters" not in str(caught.value) or "what people write" not in str(caught.value).split("[SQL", 1)[1]
    engine.dispose()


def test_a_redis_that_is_not_there_fails_at_once_and_once() -> None:
    redis = redis_pool(DEFAULTS | {"REDIS_URL": "redis://127.0.0.1:1"})
    with pytest.raises(RedisError):
        redis.get("x")
    assert redis.get_connection_kwargs()["retry"].get_retries() == 0
    assert redis.get_connection_kwargs()["socket_timeout"] == stores.REDIS_SECONDS
    redis.close()


def test_nothing_connects_before_it_is_used() -> None:
    database_pool(DEFAULTS | {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}).dispose()


def test_one_connection_that_postgresql_ended_takes_all_of_the_pool_that_are_as_old_with_it(
    database_url: str, engine: Engine
) -> None:
    pool = database_pool(DEFAULTS | {"DATABASE_URL": database_url})
    idle = [pool.connect() for _ in range(3)]
    pids = [connection.execute(text("SELECT pg_backend_pid()")).scalar() for connection in idle]
    for connection in idle:
        connection.close()
    with engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(pid, 1000) FROM unnest(:pids) pid"), {"pids": pids})
    with pytest.raises(DBAPIError) as caught, pool.connect() as first:
        first.execute(text("SELECT 1"))
    assert caught.value.connection_invalidated
    for _ in idle:
        with pool.connect() as next_one:
            assert next_one.execute(text("SELECT pg_backend_pid()")).scalar() not in pids
    pool.dispose()
