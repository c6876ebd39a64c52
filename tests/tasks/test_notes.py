"""What a note says: what is undelivered now, no more than a phone shows, and nothing that was told."""

import json

import pytest

from tasks import notes
from tests.chat.world import World

pytestmark = pytest.mark.usefixtures("process")


def test_a_note_says_who_wrote_what_where_and_is_small(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    for _ in range(12):
        group = world.group(ann, bob)
        for _ in range(2):
            world.send(group, ann, "你好" * 300)
    user, note, told = notes.note_for(bob.user_id, bob.public_id)
    assert note is not None
    assert (user, note["userId"], len(note["conversations"]), len(told)) == (bob.user_id, bob.public_id, 10, 10)
    for said in note["conversations"]:
        assert said["undelivered"] == 2
        assert said["message"]["senderId"] == ann.public_id
        assert said["message"]["content"] == "你好" * 100
    assert len(json.dumps(note, ensure_ascii=False).encode()) < 20_000


def test_what_was_told_is_not_said_again_and_the_rest_is(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.group(ann, bob) for _ in range(12)]
    for group in groups:
        world.send(group, ann)
    first = notes.note_for(bob.user_id, bob.public_id)
    assert first == notes.note_for(bob.user_id, bob.public_id)
    notes.remember(bob.user_id, first.told)
    second = notes.note_for(bob.user_id, bob.public_id)
    assert len(second.told) == 2
    assert not set(first.told) & set(second.told)
    notes.remember(bob.user_id, second.told)
    assert notes.note_for(bob.user_id, bob.public_id) == (bob.user_id, None, {})
    places = [(bob.user_id, int(group[1:]), seq) for group in groups[:1] for seq in (2, 3)]
    assert notes.is_told(places) == [True, False]


def test_what_was_delivered_recalled_or_left_meanwhile_is_not_said(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    read, recalled, left, own = (world.group(ann, bob) for _ in range(4))
    for group in (read, recalled, left):
        world.send(group, ann)
    world.send(own, bob)
    world.move(read, bob, 2)
    world.recall(recalled, 2)
    world.leave(left, bob)
    assert notes.note_for(bob.user_id, bob.public_id).note is None
    world.send(recalled, ann, "again")
    note = notes.note_for(bob.user_id, bob.public_id).note
    assert note is not None
    assert [said["message"]["content"] for said in note["conversations"]] == ["again"]
