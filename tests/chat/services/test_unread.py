"""Unread in all and by conversation."""

import pytest

from chat.services import conversations, unread
from tests.chat.world import World


def test_nothing_unread_names_nothing(world: World) -> None:
    assert world.read(unread.counts, world.person().user_id) == {"total": 0, "conversations": {}, "notifications": 0}


def test_messages_of_others_count_until_they_are_read(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group, wire_id = world.group(ann, bob), world.send_to(bob, ann, "hello")
    for _ in range(3):
        world.send(group, ann)
    counts = world.read(unread.counts, bob.user_id)
    assert counts["total"] == 4
    assert {name: one["unread"] for name, one in counts["conversations"].items()} == {group: 3, wire_id: 1}
    assert counts["conversations"][wire_id]["lastMessage"]["content"] == "hello"
    world.move(group, bob, 3)
    assert world.read(unread.counts, bob.user_id)["conversations"][group]["unread"] == 1
    world.send(group, bob)
    assert list(world.read(unread.counts, bob.user_id)["conversations"]) == [wire_id]
    assert world.read(unread.counts, ann.user_id)["total"] == 1


def test_notices_do_not_count(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    group = world.group(ann, bob, joining="open")
    world.join(group, cat)
    world.leave(group, cat)
    assert world.read(unread.counts, bob.user_id)["total"] == 0


def test_what_was_recalled_does_not_count_whoever_wrote_it(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    theirs, also_theirs = world.send(group, ann), world.send(group, ann)
    world.send(group, bob, read_seq=1)
    own = world.send(group, bob, read_seq=1)
    world.recall(group, theirs)
    world.recall(group, own)
    assert world.read(unread.counts, bob.user_id)["total"] == 1
    world.recall(group, also_theirs)
    assert world.read(unread.counts, bob.user_id)["total"] == 0


def test_who_left_has_nothing_unread(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    world.leave(group, bob)
    world.send(group, ann)
    assert world.read(unread.counts, bob.user_id)["total"] == 0


def test_all_conversations_are_one_statement(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    for _ in range(20):
        world.send(world.group(bob, ann), bob)
    with world.counted() as statements:
        assert world.read(unread.counts, ann.user_id)["total"] == 20
    assert len(statements) == 1


def test_more_than_can_be_named_is_in_the_total(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.group(bob, ann) for _ in range(3)]
    for group in groups:
        world.send(group, bob)
    monkeypatch.setattr(unread, "NAMED", 2)
    counts = world.read(unread.counts, ann.user_id)
    assert counts["total"] == 3
    assert list(counts["conversations"]) == [groups[2], groups[1]]


def test_only_the_newest_show_their_last_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.group(bob, ann) for _ in range(3)]
    for group in groups:
        world.send(group, bob)
    monkeypatch.setattr(unread, "SHOWN", 2)
    named = world.read(unread.counts, ann.user_id)["conversations"]
    assert [named[group]["lastMessage"] is None for group in groups] == [True, False, False]
    assert [named[group]["unread"] for group in groups] == [1, 1, 1]


def test_a_cleared_conversation_counts_from_then_on(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    world.do(conversations.clear, bob, group)
    world.send(group, ann)
    assert world.read(unread.counts, bob.user_id)["total"] == 1
