"""Sweeps: what goes and what stays; by a killed worker and two beats."""

import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, create_engine, text

from tasks import sweeps
from tests.chat.processes import until
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew

STARTED_WITHIN = 60.0  # seconds, for two workers and two beats at once
MANY = 60_000  # rows: a second of work


class Table:
    """The database, with what is to be swept in it."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def do(self, statement: str, **values: Any) -> Any:
        with self._engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.scalar() if result.returns_rows else None

    def login(self, kind: str, ended: str | None, expires: str) -> int:
        """Make a login that ended and expires at so long from now (an interval)."""
        made: int = self.do(
            "INSERT INTO logins (user_id, kind, expires_at, ended_at, external_key)"
            " VALUES (1, :kind, now() + CAST(:expires AS interval), now() + CAST(:ended AS interval), :key)"
            " RETURNING id",
            kind=kind,
            ended=ended,
            expires=expires,
            key=secrets.token_hex(8),
        )
        return made

    def answers(self, count: int, age: str) -> None:
        self.do(
            "INSERT INTO idempotent_answers (user_id, key, digest, answer, created_at) "
            "SELECT -1, :mark || i, 0, '', now() - CAST(:age AS interval) FROM generate_series(1, :count) i",
            mark=secrets.token_hex(4),
            age=age,
            count=count,
        )

    def left(self) -> int:
        return int(self.do("SELECT count(*) FROM idempotent_answers WHERE user_id = -1"))


@pytest.fixture
def table(site: Site) -> Iterator[Table]:
    engine = create_engine(site.postgres.url)
    made = Table(engine)
    yield made
    made.do("DELETE FROM idempotent_answers WHERE user_id = -1")
    engine.dispose()


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(
    ("kind", "ended", "expires", "stays"),
    [
        ("device", None, "1 day", True),
        ("device", None, "-6 days", True),  # a session may outlive it and write gone_at
        ("device", None, "-8 days", False),
        ("device", "-6 days", "80 days", True),
        ("device", "-8 days", "80 days", False),
        ("token", "-8 days", "20 days", False),
        ("host", None, "-8 days", False),
        ("host", "-8 days", "1 day", True),  # it is what keeps the host application's token out
        ("host", "-100 days", "-90 days", True),
        ("host", "-500 days", "-400 days", False),
    ],
)
def test_logins_go_when_nobody_can_come_back_with_them(
    table: Table, kind: str, ended: str | None, expires: str, stays: bool
) -> None:
    login = table.login(kind, ended, expires)
    assert sweeps.logins() == (0 if stays else 1)
    assert bool(table.do("SELECT count(*) FROM logins WHERE id = :id", id=login)) is stays
    table.do("DELETE FROM logins WHERE id = :id", id=login)


@pytest.mark.usefixtures("process")
def test_all_logins_are_looked_at_by_slices(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 3)
    for place in range(10):
        table.login("device", "-8 days" if place % 2 else None, "80 days")
    assert sweeps.logins() == 5
    assert sweeps.logins() == 0
    table.do("DELETE FROM logins WHERE user_id = 1")


@pytest.mark.usefixtures("process")
def test_answers_and_tickets_go_when_they_are_of_no_use_any_more(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "BATCH", 3)
    table.answers(7, "25 hours")
    table.answers(2, "23 hours")
    assert sweeps.answers() == 7
    assert table.left() == 2
    for seconds in (-5, -1, 60):
        table.do(
            "INSERT INTO tickets (digest, login_id, expires_at) VALUES (:digest, 1, now() + :seconds * interval '1 s')",
            digest=secrets.token_bytes(32),
            seconds=seconds,
        )
    assert sweeps.tickets() == 2
    table.do("DELETE FROM tickets")


@pytest.mark.usefixtures("process")
def test_a_row_that_somebody_holds_is_passed_by(table: Table, site: Site) -> None:
    table.answers(3, "25 hours")
    engine = create_engine(site.postgres.url)
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM idempotent_answers WHERE user_id = -1 LIMIT 1 FOR UPDATE"))
        assert sweeps.answers() == 2
    engine.dispose()
    assert sweeps.answers() == 1


def test_a_batch_is_not_read_anew_for_every_row_of_a_table_that_had_just_been_swept(table: Table, site: Site) -> None:
    table.answers(5_000, "25 hours")
    table.answers(1, "1 hour")
    table.do("DELETE FROM idempotent_answers WHERE created_at < now() - interval '24 hours'")
    engine = create_engine(site.postgres.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE idempotent_answers"))
        table.answers(5_000, "25 hours")
        plan = connection.execute(text("EXPLAIN " + sweeps.ANSWERS), {"most": sweeps.BATCH}).scalars().all()
    engine.dispose()
    assert not [line for line in plan if "Join" in line]


def test_a_sweep_whose_process_is_killed_in_the_middle_is_done_in_the_end(crew: Crew, table: Table) -> None:
    worker = crew.worker(processes=1)
    table.answers(MANY, "25 hours")
    crew.send("tasks.sweeps.answers")
    until(lambda: table.left() < MANY, "the sweep has begun")
    for process in crew.pool(worker):
        os.kill(process.pid, signal.SIGKILL)
    assert table.left()
    until(lambda: not table.left(), "the sweep is done")


def test_two_beats_and_two_workers_share_the_work_and_bear_a_lost_broker(crew: Crew, table: Table, site: Site) -> None:
    table.answers(10_000, "25 hours")
    table.login("device", "-8 days", "80 days")
    crew.worker(processes=1)
    crew.worker(processes=1)
    crew.two_hasty_beats()
    until(lambda: not table.left(), "answers are swept", STARTED_WITHIN)
    until(lambda: not table.do("SELECT count(*) FROM logins WHERE user_id = 1"), "logins are swept")
    assert "Traceback" not in crew.log()
    site.broker.kill()
    table.answers(10, "25 hours")
    site.broker.start()
    with redis.Redis.from_url(site.broker.url) as client:
        client.flushall()
    until(lambda: not table.left(), "beats and workers found the broker again")
