"""One connection for one statement, over a real PostgreSQL: its settings, its endings, and what they mean."""

from collections.abc import Iterator

import gevent
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from chat.postgres import Lost, Refused, Statement, Unreachable, conninfo
from tests.deployment import wait_for

NAME = "chat statement test"
END = "SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE application_name = :name"


@pytest.fixture
def statement(database_url: str) -> Iterator[Statement]:
    made = Statement(database_url, "SELECT $1::int + 1", NAME)
    yield made
    made.close()


def others(engine: Engine, sql: str) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text(sql), {"name": NAME}).scalar_one())


def count(engine: Engine) -> int:
    return others(engine, "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")


def test_a_statement_is_prepared_once_and_run_over_and_over(statement: Statement, engine: Engine) -> None:
    assert [statement.run(b"%d" % number) for number in range(5)] == [b"%d" % (number + 1) for number in range(5)]
    assert count(engine) == 1


def test_nothing_connects_before_the_first_run(database_url: str, engine: Engine) -> None:
    wait_for(lambda: count(engine) == 0, 5, "the end of the connections before")
    Statement(database_url, "SELECT 1", NAME)
    assert count(engine) == 0


def test_null_is_none(database_url: str) -> None:
    empty = Statement(database_url, "SELECT NULL", NAME)
    assert empty.run() is None
    empty.close()


def test_a_refusal_says_why_and_the_connection_goes_on(statement: Statement, engine: Engine) -> None:
    with pytest.raises(Refused) as refused:
        statement.run(b"nonsense")
    assert refused.value.sqlstate == "22P02"
    assert statement.run(b"1") == b"2"
    assert count(engine) == 1


def test_a_statement_that_makes_no_sense_is_refused_and_leaves_no_connection(database_url: str, engine: Engine) -> None:
    with pytest.raises(Refused) as refused:
        Statement(database_url, "SELECT nonsense", NAME).run()
    assert refused.value.sqlstate == "42703"
    wait_for(lambda: count(engine) == 0, 5, "the end of the connection")


def test_a_killed_connection_is_lost_and_made_anew_with_the_next_run(statement: Statement, engine: Engine) -> None:
    statement.run(b"1")
    others(engine, END)
    with pytest.raises(Lost):
        statement.run(b"1")
    assert statement.run(b"1") == b"2"


def test_a_reading_over_a_connection_that_died_while_idle_is_done_over_another(
    statement: Statement, engine: Engine
) -> None:
    statement.read(b"1")
    others(engine, END)
    assert statement.read(b"1") == b"2"


def test_a_reading_that_takes_too_long_is_not_begun_again(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.postgres.SETTINGS", "-c statement_timeout=200")
    slow = Statement(database_url, "SELECT nextval('runs_of_a_test')::text || pg_sleep($1::float)", NAME)
    with engine.begin() as connection:
        connection.execute(text("CREATE SEQUENCE runs_of_a_test"))
    try:
        slow.read(b"0")
        with pytest.raises(Lost):
            slow.read(b"1")
        assert slow.read(b"0") == b"3"
    finally:
        slow.close()
        with engine.begin() as connection:
            connection.execute(text("DROP SEQUENCE runs_of_a_test"))


def test_a_database_that_is_not_there_is_unreachable_so_nothing_was_done() -> None:
    away = Statement("postgresql+psycopg://nobody@127.0.0.1:1/none", "SELECT 1", NAME)
    with pytest.raises(Unreachable):
        away.run()


def test_a_run_waits_in_the_loop_and_not_in_the_way_of_others(database_url: str) -> None:
    slow = Statement(database_url, "SELECT pg_sleep(0.2)::text", NAME)
    running = gevent.spawn(slow.run)
    turns = 0
    while not running.ready():
        gevent.sleep(0.01)
        turns += 1
    assert turns > 5
    slow.close()


def test_an_interrupted_run_never_gives_its_answer_to_the_next(database_url: str) -> None:
    asked = Statement(database_url, "SELECT $1::text || pg_sleep($2::float)", NAME)
    running = gevent.spawn(asked.run, b"first", b"0.3")
    gevent.sleep(0.05)
    running.kill()
    assert asked.run(b"second", b"0") == b"second"
    asked.close()


def test_a_large_question_and_a_large_answer_pass(database_url: str) -> None:
    echo = Statement(database_url, "SELECT $1::text || $1::text", NAME)
    question = b"x" * 5_000_000
    assert echo.run(question) == question * 2
    echo.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lock_timeout", "1s"),
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("TimeZone", "UTC"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ],
)
def test_a_connection_has_the_settings_that_bound_it(database_url: str, setting: str, value: str) -> None:
    asked = Statement(database_url, "SELECT current_setting($1::text)", NAME)
    assert asked.run(setting.encode()) == value.encode()
    asked.close()


def test_awkward_passwords_reach_libpq_whole() -> None:
    url = make_url("postgresql+psycopg://u@h/d").set(password="it's a \\ secret")
    assert "password='it\\'s a \\\\ secret'" in conninfo(url.render_as_string(hide_password=False), "app")
