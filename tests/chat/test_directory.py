"""Numbers and wire ids, asked of the database once."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from chat.directory import Directory
from chat.errors import ChatError
from chat.stores import database_pool
from tests.chat.world import DEFAULTS, World


def test_a_user_is_looked_up_once(world: World) -> None:
    ann = world.person()
    directory = Directory(world.engine)
    with world.counted() as statements:
        assert directory.number(ann.public_id) == ann.user_id
        assert directory.number(ann.public_id) == ann.user_id
        assert directory.public_ids([ann.user_id]) == {ann.user_id: ann.public_id}
    assert len(statements) == 1


def test_nobody_is_an_unknown_user(world: World) -> None:
    with pytest.raises(ChatError, match="unknown_user"):
        Directory(world.engine).number("nobody")


def test_private_conversations_are_looked_up_once_and_only_if_they_exist(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    wire_id = world.send_to(bob, ann)
    there, missing = (0, ann.user_id, bob.user_id), (0, ann.user_id, cat.user_id)
    directory, number = Directory(world.engine), world.number(wire_id)
    with world.counted() as statements:
        assert directory.conversations([there, missing]) == {there: number}
        assert directory.conversations([there]) == {there: number}
    assert len(statements) == 1


def test_a_groups_number_is_its_own(world: World) -> None:
    assert Directory(world.engine).conversations([(7, 0, 0)]) == {(7, 0, 0): 7}


def test_connections_that_died_while_idle_are_nobodys_matter(world: World, database_url: str) -> None:
    ann = world.person()
    engine = database_pool(DEFAULTS | {"DATABASE_URL": database_url})
    idle = [engine.connect() for _ in range(3)]
    pids = [connection.execute(text("SELECT pg_backend_pid()")).scalar() for connection in idle]
    for connection in idle:
        connection.close()
    with world.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(pid, 1000) FROM unnest(:pids) pid"), {"pids": pids})
    assert Directory(engine).number(ann.public_id) == ann.user_id
    engine.dispose()


@pytest.mark.parametrize(
    "ask",
    [
        lambda directory: directory.number("somebody"),
        lambda directory: directory.public_ids([1]),
        lambda directory: directory.conversations([(0, 1, 2)]),
    ],
)
def test_a_database_that_is_away_is_overloaded_and_no_error_of_ours(ask: Callable[[Directory], Any]) -> None:
    nowhere = create_engine("postgresql+psycopg://chat@/chat?host=/nowhere")
    with pytest.raises(ChatError, match="overloaded"):
        ask(Directory(nowhere))
