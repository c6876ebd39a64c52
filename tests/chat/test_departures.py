"""Departures: what a device had taken when it went, written together, never turned back."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from chat import departures as departures_module
from chat.departures import Departures
from tests.chat.world import World

MOMENT = 1_700_000_000_000_000


@pytest.fixture
def departures(engine: Engine) -> Departures:
    return Departures(engine)


def login(world: World) -> int:
    ann = world.person()
    rows = (
        """INSERT INTO logins (user_id, kind, expires_at) VALUES (:user, 'x', now() + interval '1 day') RETURNING id"""
    )
    return int(world.rows(rows, user=ann.user_id)[0][0])


def gone_at(world: World, login_id: int) -> Any:
    return world.rows("SELECT gone_at FROM logins WHERE id = :id", id=login_id)[0][0]


def test_what_was_noted_is_written(world: World, departures: Departures) -> None:
    first, second = login(world), login(world)
    departures.note(first, MOMENT)
    departures.note(second, MOMENT + 1)
    departures.write()
    assert gone_at(world, first) == datetime.fromtimestamp(MOMENT / 1e6, UTC)
    assert gone_at(world, second).microsecond == 1


def test_the_latest_of_a_logins_sessions_counts(world: World, departures: Departures) -> None:
    one = login(world)
    departures.note(one, MOMENT + 5)
    departures.note(one, MOMENT)
    departures.write()
    departures.note(one, MOMENT + 3)
    departures.write()
    assert gone_at(world, one).microsecond == 5


def test_all_of_a_second_is_one_statement_and_nothing_is_none(world: World, departures: Departures) -> None:
    logins = [login(world) for _ in range(5)]
    with world.counted() as statements:
        for one in logins:
            departures.note(one, MOMENT)
        departures.write()
        departures.write()
    assert len(statements) == 1


def test_a_database_that_is_away_is_waited_for(world: World, engine: Engine) -> None:
    one = login(world)
    departures = Departures(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    departures.note(one, MOMENT)
    departures.write()
    departures.note(one, MOMENT + 1)
    departures._engine = engine
    departures.write()
    assert gone_at(world, one).microsecond == 1


def test_what_waits_is_bounded(departures: Departures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures_module, "MOST", 3)
    for number in range(10):
        departures.note(number, MOMENT)
    assert list(departures._gone) == [7, 8, 9]


def test_a_login_that_is_no_more_harms_nobody(world: World, departures: Departures) -> None:
    departures.note(2**40, MOMENT)
    departures.write()
    assert world.rows(str(text("SELECT count(*) FROM logins WHERE id = :id")), id=2**40)[0][0] == 0
