"""Reading entries page by page."""

from typing import Any

import orjson
import pytest

from chat import history
from chat.errors import ChatError
from chat.frames import Caller
from chat.history import Wanted
from tests.chat.world import World


def seqs(messages: list[Any]) -> list[int]:
    return [message["seq"] for message in orjson.loads(orjson.dumps(messages))]


@pytest.fixture
def reader(world: World) -> tuple[Caller, int]:
    """A member of a group of ten entries, and the group's number."""
    ann = world.person()
    group = world.group(ann)
    for _ in range(9):
        world.send(group, ann)
    return ann, world.number(group)


@pytest.mark.parametrize(
    ("before", "after", "limit", "expected", "more"),
    [
        (None, None, 50, list(range(1, 11)), False),
        (None, None, 3, [8, 9, 10], True),
        (8, None, 3, [5, 6, 7], True),
        (4, None, 3, [1, 2, 3], False),
        (1, None, 3, [], False),
        (None, 0, 3, [1, 2, 3], True),
        (None, 7, 3, [8, 9, 10], False),
        (None, 10, 3, [], False),
        (6, 3, 50, [4, 5], False),
        (9, 3, 2, [4, 5], True),
        (2**63 - 1, None, 1, [10], True),
        (None, 2**63 - 1, 1, [], False),
    ],
)  # fmt: skip
def test_a_page_rises_and_says_whether_there_is_more(
    world: World,
    reader: tuple[Caller, int],
    before: int | None,
    after: int | None,
    limit: int,
    expected: list[int],
    more: bool,
) -> None:
    ann, number = reader
    found = world.do(history.page, ann.user_id, (number, 0, 0), before, after, limit)
    assert (seqs(found.messages), found.has_more) == (expected, more)


def test_a_page_is_one_statement(world: World, reader: tuple[Caller, int]) -> None:
    ann, number = reader
    with world.counted() as statements:
        world.do(history.page, ann.user_id, (number, 0, 0), None, None, 50)
    assert len(statements) == 1


def test_nobody_else_reads(world: World, reader: tuple[Caller, int]) -> None:
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(history.page, world.person().user_id, (reader[1], 0, 0), None, None, 50)


def test_edited_and_recalled_entries_say_so(world: World, reader: tuple[Caller, int]) -> None:
    ann, number = reader
    world.sql(
        "UPDATE entries SET edited_at = '2026-01-02T03:04:05Z' WHERE conversation_id = :id AND seq = 2", id=number
    )
    world.recall(f"g{number}", 3)
    edited, recalled = orjson.loads(
        orjson.dumps(world.do(history.page, ann.user_id, (number, 0, 0), 4, 1, 50).messages)
    )
    assert edited["editedAt"] == "2026-01-02T03:04:05.000000Z"
    assert "recalledAt" not in edited
    assert (recalled["content"], recalled["change"]) == ("", 11)
    assert recalled["recalledAt"] > recalled["createdAt"]


def test_what_is_missed_of_many_stays_near_its_bound_and_brings_the_newest_of_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.number(world.group(bob, ann)) for _ in range(3)]
    for group in groups:
        for _ in range(10):
            world.send(f"g{group}", bob, "x" * 700)
    monkeypatch.setattr(history, "ANSWER_BYTES", 13_000)
    missed = world.do(history.missed, ann.user_id, [Wanted(group, 0, 0, 1, 1) for group in groups])
    found = [seqs(missed[place].messages) for place in range(3)]
    assert [newest[-1] for newest in found] == [11, 11, 11]
    assert sum(map(len, found)) == 13
    assert all(newest == list(range(newest[0], 12)) for newest in found)
    assert all(missed[place].has_more for place in range(3))


def test_the_newest_entry_comes_even_if_it_alone_is_over_the_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = world.person()
    group = world.group(ann)
    world.send(group, ann, "x" * 5_000)
    monkeypatch.setattr(history, "ANSWER_BYTES", 1)
    missed = world.do(history.missed, ann.user_id, [Wanted(world.number(group), 0, 0, 0, 0)])
    assert (seqs(missed[0].messages), missed[0].has_more) == ([2], True)


def test_a_page_of_long_entries_is_shorter_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = world.person()
    group = world.group(ann)
    for _ in range(4):
        world.send(group, ann, "x" * 5_000)
    place = (world.number(group), 0, 0)
    monkeypatch.setattr(history, "ANSWER_BYTES", 10_500)
    for before, after, expected in ((None, None, [4, 5]), (4, None, [2, 3]), (None, 1, [2, 3])):
        found = world.do(history.page, ann.user_id, place, before, after, 50)
        assert seqs(found.messages) == expected
        assert found.has_more
    monkeypatch.setattr(history, "ANSWER_BYTES", 1)
    assert seqs(world.do(history.page, ann.user_id, place, None, None, 50).messages) == [5]
