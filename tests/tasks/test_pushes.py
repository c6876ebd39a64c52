"""Push notifications: who is due one and who is not, however many there are."""

import json

import pytest

from tasks import pushes, stores
from tests.chat.processes import until
from tests.chat.world import World
from tests.clients.crowd import Crowd
from tests.tasks.conftest import forget
from tests.tasks.receiver import Receiver

pytestmark = pytest.mark.usefixtures("pushing")


def test_members_without_a_session_are_told_and_nobody_else(crowd: Crowd, receiver: Receiver) -> None:
    ann, bob, cid, dan, eve = crowd.persons(5)
    group = ann.group(bob, cid, dan, eve)
    crowd.device(cid)
    until(lambda: stores.redis().sismember("presence:online", cid.id), "she is online")
    dan.call("PATCH", f"/conversations/{group}", {"muted": True})
    eve.ask("group.leave", groupId=group)
    ann.send(group, "hello")
    pushes.find([int(group[1:])])
    assert {json.loads(body)["userId"] for _, body in receiver.taken} == {bob.id}
    ((conversation,),) = (note["conversations"] for note in receiver.notes(bob.id))
    assert (conversation["conversationId"], conversation["message"]["senderId"]) == (group, ann.id)


def test_a_user_is_told_once_in_a_while_and_never_of_the_same_twice(world: World, receiver: Receiver) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    for _ in range(3):
        pushes.find([world.number(group)])
    assert len(receiver.notes(bob.public_id)) == 1
    world.send(group, ann, "and another")
    pushes.find([world.number(group)])
    assert len(receiver.notes(bob.public_id)) == 1  # too soon
    for _ in range(2):
        forget("push:user:*")
        pushes.look()
    first, second = receiver.notes(bob.public_id)
    assert first["id"] != second["id"]


def test_a_note_that_is_not_taken_is_brought_by_the_next_look(world: World, receiver: Receiver) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    receiver.answers = [503]
    pushes.find([world.number(group)])
    pushes.look()
    pushes.look()
    first, second = receiver.notes(bob.public_id)
    assert first == second


def test_every_conversation_is_told_of_and_none_of_them_twice(world: World, receiver: Receiver) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = {world.group(ann, bob) for _ in range(12)}
    for group in groups:
        world.send(group, ann)
    for _ in range(3):
        pushes.look()
        forget("push:user:*")
    notes = receiver.notes(bob.public_id)
    told = [conversation["conversationId"] for note in notes for conversation in note["conversations"]]
    assert [len(note["conversations"]) for note in notes] == [10, 2]
    assert sorted(told) == sorted(groups)


def test_every_member_is_told_however_many_there_are(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "A_PAGE", 3)
    ann, *others = world.people(*(f"P{place}" for place in range(9)))
    groups = [world.group(ann, *others) for _ in range(2)]
    for group in groups:
        world.send(group, ann)
    pushes.find([world.number(group) for group in groups])
    assert {other.public_id for other in others} == {json.loads(body)["userId"] for _, body in receiver.taken}


def test_where_there_is_no_room_the_next_look_goes_on(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "A_PAGE", 2)
    monkeypatch.setattr("tasks.courier.MOST", 2)
    ann, *others = world.people(*(f"P{place}" for place in range(6)))
    world.send(world.group(ann, *others), ann)
    for told in (2, 4, 5):
        pushes.look()
        assert len(receiver.taken) == told
