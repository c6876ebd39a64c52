"""How far statements reach: a page costs the same in a conversation of any size, with any number of members.

The database counts the rows that a transaction has looked at. Each statement is asked as at first, planned for its
values, and again as a prepared one, planned for any.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from chat.frames import Caller
from chat.services import conversations, members, sync
from chat.transaction import Transaction
from tests.chat.world import UNREAD, World

ENTRIES = 20_000
MEMBERS = 2_000
PAGE = "SELECT chat_history_1(CAST(:asked AS json))"
PREPARED = 7  # runs after which the driver and the database have settled for one plan
LOOKED_AT = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"


@pytest.fixture(scope="module")
def crowd(engine: Any) -> tuple[World, Caller, str]:
    """A member of a group of many, in which much was said and a little recalled long ago."""
    world = World(engine)
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    number = world.number(group)
    for _ in range(30):
        world.send(world.group(ann, bob), bob)
    world.sql(FILL_USERS, id=number, members=MEMBERS)
    world.sql(FILL_ENTRIES, id=number, sender=bob.user_id, entries=ENTRIES)
    world.sql("UPDATE conversation_heads SET member_count = :n WHERE conversation_id = :id", id=number, n=MEMBERS + 2)
    world.sql(
        "UPDATE entries SET recalled_at = now(), changed_at = now() "
        "WHERE conversation_id = :id AND seq % 100 = 0 AND seq < 10000",
        id=number,
    )
    world.sql("ANALYZE")
    world.move(group, ann, ENTRIES - 100)
    return world, ann, group


def looked_at(world: World, work: Callable[[Transaction], Any]) -> list[int]:
    """Return how many rows the work looks at, at first and prepared."""

    def measure(tx: Transaction) -> list[int]:
        tx.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        custom = rows_of(tx, work)
        tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for _ in range(PREPARED):
            work(tx)
        return [custom, rows_of(tx, work)]

    return world.do(measure)


def rows_of(tx: Transaction, work: Callable[[Transaction], Any]) -> int:
    before = tx.execute(LOOKED_AT).scalar_one()
    work(tx)
    return int(tx.execute(LOOKED_AT).scalar_one() - before)


def asked(reader: Caller, group: int, before: int | None) -> str:
    """A page that is read with the rest of its blocks."""
    question = {
        "u": reader.user_id,
        "g": group,
        "before": before,
        "after": None,
        "most": 50,
        "whole": True,
        "known": [],
    }
    return orjson.dumps(question).decode()


@pytest.mark.parametrize(
    ("name", "most"),
    [("list", 500), ("get", 200), ("history", 300), ("older", 300), ("sync", 300), ("unread", 500), ("members", 220)],
)
def test_a_page_looks_at_what_it_shows(crowd: tuple[World, Caller, str], name: str, most: int) -> None:
    world, ann, group = crowd
    stand = {group: {"seq": ENTRIES - 10, "change": ENTRIES - 10}}
    work: Callable[[Transaction], Any] = {
        "list": lambda tx: conversations.page(tx, ann.user_id, "", 50),
        "get": lambda tx: conversations.get(tx, ann.user_id, group),
        "history": lambda tx: tx.execute(PAGE, {"asked": asked(ann, world.number(group), None)}),
        "older": lambda tx: tx.execute(PAGE, {"asked": asked(ann, world.number(group), ENTRIES // 2)}),
        "sync": lambda tx: sync.states(tx, ann.user_id, stand),
        "unread": lambda tx: tx.execute(UNREAD, {"user": ann.user_id}),
        "members": lambda tx: members.page(tx, ann.user_id, group, "", 50),
    }[name]
    assert max(looked_at(world, work)) <= most


FILL_USERS = """
WITH made AS (
    INSERT INTO users (public_id, name) SELECT 'crowd' || gen_random_uuid(), 'x' FROM generate_series(1, :members)
    RETURNING id)
INSERT INTO memberships (conversation_id, user_id) SELECT :id, id FROM made
"""
FILL_ENTRIES = """
WITH filled AS (
    INSERT INTO entries (conversation_id, seq, count, change, sender_id, local_id, digest, type, content, created_at)
    SELECT :id, n, n - 1, n, :sender, 'fill-' || n, 0, 'text', 'x', now() + n * interval '1 microsecond'
    FROM generate_series(2, :entries) n)
UPDATE conversation_heads
SET last_seq = :entries, last_count = :entries - 1, change = :entries, last_recalled_seq = 9900
WHERE conversation_id = :id
"""
