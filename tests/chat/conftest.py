"""A database of this run, and a world in it."""

import secrets
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine

from chat.stores import PLANNING
from tests.chat.counter import Counter, chat_app
from tests.chat.door import Visitor
from tests.chat.world import World


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    made = create_engine(database_url, pool_size=10, connect_args={"options": PLANNING, "application_name": "world"})
    World.prepare(made)
    yield made
    made.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


@pytest.fixture
def chat(engine: Engine, redis_url: str) -> Iterator[Flask]:
    """The routes over a running writer and positions."""
    app = chat_app(engine, redis_url)
    yield app
    app.extensions["chat.node"].close()


@pytest.fixture
def counter(chat: Flask) -> Counter:
    """What stands behind the routes."""
    return chat.extensions["chat.node"]


@pytest.fixture
def visitors(chat: Flask) -> tuple[Visitor, Visitor]:
    """Two users of this test, with tokens."""
    mark = secrets.token_hex(4)
    return Visitor(chat, f"ann{mark}"), Visitor(chat, f"bob{mark}")
