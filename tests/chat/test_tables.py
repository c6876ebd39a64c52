"""The tables are what the migrations make, and refuse what must not be."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from chat.models import User
from tests.chat.world import World


def test_the_migrations_make_exactly_these_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), User.metadata) == []


def test_a_message_is_one_row_whatever_happens(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.send_to(ann, bob)
    copy = (
        "INSERT INTO entries (conversation_id, seq, count, change, sender_id, local_id, digest, type, content, created_at) "  # noqa: E501
        "SELECT conversation_id, seq + {more}, count, change, sender_id, {local}, digest, type, content, created_at "
        "FROM entries WHERE conversation_id = :id AND seq = 1"
    )
    for more, local in ((0, "'other'"), (1, "local_id")):
        with pytest.raises(IntegrityError):
            world.sql(copy.format(more=more, local=local), id=world.number(place))


def test_two_users_have_one_private_conversation(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send_to(ann, bob)
    low, high = sorted((ann.user_id, bob.user_id))
    with pytest.raises(IntegrityError):
        world.sql(
            "INSERT INTO conversations (kind, low, high, history) VALUES ('private', :low, :high, 'all')",
            low=low,
            high=high,
        )


def test_no_foreign_key_points_at_the_entries(engine: Engine) -> None:
    with engine.connect() as connection:
        assert (
            connection.execute(
                text("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'entries'::regclass")
            ).scalar()
            == 0
        )
