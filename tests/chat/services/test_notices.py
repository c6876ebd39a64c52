"""Notices and changes: numbered like everything else of a conversation."""

import pytest

from chat.errors import ChatError
from chat.services import notices, people
from chat.services.people import Person
from chat.transaction import Transaction
from tests.chat.world import World

ANN = Person(0, "ann", "Ann")


def test_a_notice_takes_a_number_but_does_not_count(world: World) -> None:
    ann = world.person()
    group = world.group(ann)
    world.send(group, ann)
    actor = world.do(people.the_caller, ann.user_id)
    notice = world.do(notices.append, world.number(group), "renamed", actor, details={"name": "X"})
    assert (notice.seq, notice.count, notice.change, notice.members_version) == (3, 1, 3, 1)
    assert world.send(group, ann) == 4
    rows = world.rows(
        "SELECT seq, count, change FROM entries WHERE conversation_id = :id ORDER BY seq", id=world.number(group)
    )
    assert [tuple(row) for row in rows] == [(1, 0, 1), (2, 1, 2), (3, 1, 3), (4, 2, 4)]


def test_times_rise_strictly_through_messages_and_notices(world: World) -> None:
    ann = world.person()
    group = world.group(ann)
    number = world.number(group)
    world.sql(
        "UPDATE conversation_heads SET last_at = now() + interval '1 hour' WHERE conversation_id = :id", id=number
    )
    for _ in range(3):
        world.send(group, ann)
        world.do(notices.append, number, "left", ANN)
    times = [
        row[0]
        for row in world.rows("SELECT created_at FROM entries WHERE conversation_id = :id ORDER BY seq", id=number)
    ]
    assert times[1:] == sorted(set(times[1:]))


def test_what_was_rolled_back_is_not_told(world: World) -> None:
    group = world.number(world.group(world.person()))
    world.told("")

    def work(tx: Transaction) -> None:
        notices.append(tx, group, "left", ANN)
        raise ChatError("forbidden")

    with pytest.raises(ChatError, match="forbidden"):
        world.do(work)
    assert world.events == []
    assert world.rows("SELECT last_seq FROM conversation_heads WHERE conversation_id = :id", id=group)[0][0] == 1


def test_a_change_without_an_entry_moves_the_change_only(world: World) -> None:
    ann = world.person()
    group = world.group(ann)
    number = world.number(group)
    world.told("")
    assert world.do(notices.changed, number, "settings", {"name": "X"}) == 2
    assert world.do(notices.changed, number, "away", {}, version_moves=True) == 3
    first, second = world.told("conversation")
    assert first.data == {"conversationId": group, "change": 2, "kind": "settings", "name": "X"}
    assert (first.version, second.version, first.members) == (1, 2, (ann.user_id,))
    (row,) = world.rows("SELECT last_seq, change FROM conversation_heads WHERE conversation_id = :id", id=number)
    assert tuple(row) == (1, 3)


def test_a_notice_in_no_conversation_is_refused(world: World) -> None:
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(notices.append, 2**62, "left", ANN)
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(notices.changed, 2**62, "settings", {})


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["Bob"], "Ann added Bob."),
        (["Bob", "Cat"], "Ann added Bob and Cat."),
        (["Bob", "Cat", "Dan"], "Ann added Bob, Cat and Dan."),
        (["Bob", "Cat", "Dan", "Eve"], "Ann added Bob, Cat, Dan and one more."),
        (["Bob", "Cat", "Dan", "Eve", "Fay"], "Ann added Bob, Cat, Dan and 2 others."),
    ],
)
def test_sentences_are_plain_english(world: World, names: list[str], sentence: str) -> None:
    group = world.number(world.group(world.person()))
    world.told("")
    world.do(notices.append, group, "added", ANN, [Person(0, name, name) for name in names])
    assert world.told("message")[0].data["content"] == sentence
