"""Sync: a client that says where it stands ends with what the database holds."""

from typing import Any

from chat.frames import Caller
from chat.services import conversations, sync
from tests.chat.world import World


def synced(world: World, user: Caller, held: dict[str, tuple[int, int]]) -> dict[str, Any]:
    asked = {wire_id: {"seq": seq, "change": change} for wire_id, (seq, change) in held.items()}
    return world.read(sync.states, user.user_id, asked)


def test_who_lacks_nothing_gets_numbers_only(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    assert synced(world, bob, {group: (1, 1)}) == {
        group: {
            "messages": [],
            "hasMore": False,
            "changed": [],
            "hasMoreChanged": False,
            "lastSeq": 1,
            "change": 1,
            "readSeq": 1,
            "deliveredSeq": 1,
            "unread": 0,
        }
    }


def test_the_newest_fifty_come_and_say_that_there_are_more(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    for _ in range(60):
        world.send(group, ann)
    state = synced(world, bob, {group: (1, 1)})[group]
    assert [message["seq"] for message in state["messages"]] == list(range(12, 62))
    assert (state["hasMore"], state["lastSeq"], state["unread"]) == (True, 61, 60)
    state = synced(world, bob, {group: (11, 11)})[group]
    assert (len(state["messages"]), state["hasMore"]) == (50, False)


def test_what_changed_among_the_held_comes_with_its_change(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    for _ in range(4):
        world.send(group, ann)
    world.recall(group, 2)
    world.recall(group, 4)
    state = synced(world, bob, {group: (3, 3)})[group]
    assert [(message["seq"], message["change"]) for message in state["changed"]] == [(2, 6)]
    assert [message["seq"] for message in state["messages"]] == [4, 5]
    assert (state["change"], state["hasMoreChanged"]) == (7, False)
    assert synced(world, bob, {group: (5, 7)})[group]["changed"] == []


def test_more_changes_than_one_answer_holds_are_had_by_asking_again(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    for _ in range(70):
        world.send(group, ann)
    for seq in range(2, 72):
        world.recall(group, seq)
    seen, change, rounds = set(), 71, 0
    while True:
        state = synced(world, bob, {group: (71, change)})[group]
        seen |= {message["seq"] for message in state["changed"]}
        change, rounds = state["change"], rounds + 1
        if not state["hasMoreChanged"]:
            break
        assert rounds < 3
    assert (seen, change, rounds) == (set(range(2, 72)), 141, 2)


def test_foreign_and_impossible_conversations_are_as_removed(world: World) -> None:
    ann, eve = world.people("Ann", "Eve")
    group = world.group(ann)
    wire_id = world.send_to(ann, ann)
    asked = {
        group: (0, 0),
        wire_id: (0, 0),
        "g99999999": (0, 0),
        "rubbish": (0, 0),
        f"g{world.number(wire_id)}": (0, 0),
    }
    assert synced(world, eve, asked) == {wire_id: {"removed": True} for wire_id in asked}


def test_what_was_cleared_does_not_come_back(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    world.do(conversations.clear, bob, group)
    world.recall(group, 2)
    world.send(group, ann, "new")
    state = synced(world, bob, {group: (0, 0)})[group]
    assert [message["content"] for message in state["messages"]] == ["new"]
    assert synced(world, bob, {group: (2, 2)})[group]["changed"] == []


def test_a_hundred_conversations_are_one_statement(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.group(bob, ann) for _ in range(100)]
    for group in groups[:50]:
        world.send(group, bob)
    with world.counted() as statements:
        states = synced(world, ann, dict.fromkeys(groups, (1, 1)))
    assert len(statements) == 1
    assert [states[group]["unread"] for group in groups] == [1] * 50 + [0] * 50


def test_private_conversations_and_groups_come_together(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    wire_id, group = world.send_to(bob, ann, "hi"), world.group(ann, bob)
    states = synced(world, bob, {wire_id: (0, 0), group: (0, 0)})
    assert [message["conversationId"] for message in states[wire_id]["messages"]] == [wire_id]
    assert [message["conversationId"] for message in states[group]["messages"]] == [group]
