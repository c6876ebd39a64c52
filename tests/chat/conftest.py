"""A database of this run, and a world in it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from tests.chat.world import World


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    made = create_engine(database_url, pool_size=10)
    World.prepare(made)
    yield made
    made.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)
