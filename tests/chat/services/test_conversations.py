"""A user's list of conversations, and what they set for themselves."""

import pytest

from chat.errors import ChatError
from chat.paging import page_cursor
from chat.services import conversations
from tests.chat.world import World


def ids(world: World, user_id: int, limit: int = 50) -> list[str]:
    return [view.data["id"] for view in world.do(conversations.page, user_id, "", limit).views]


def test_the_newest_comes_first_and_pinned_ones_before(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    old, middle, new = (world.group(ann, bob, name=name) for name in ("old", "middle", "new"))
    assert ids(world, bob.user_id) == [new, middle, old]
    world.send(middle, ann)
    world.do(conversations.update, bob, old, True, None, None)
    assert ids(world, bob.user_id) == [old, middle, new]
    assert ids(world, ann.user_id) == [middle, new, old]


def test_pages_show_each_conversation_once(world: World) -> None:
    ann = world.person()
    groups = [world.group(ann) for _ in range(7)]
    for pinned in groups[2:4]:
        world.do(conversations.update, ann, pinned, True, None, None)
    seen, cursor = [], ""
    for _ in range(3):
        found = world.do(conversations.page, ann.user_id, cursor, 3)
        seen += [view.data["id"] for view in found.views]
        cursor = found.next_cursor
    assert cursor is None
    assert seen == [groups[3], groups[2], groups[6], groups[5], groups[4], groups[1], groups[0]]


def test_a_page_is_one_statement_however_many_conversations_it_shows(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    for _ in range(20):
        world.send(world.group(bob, ann), bob)
    with world.counted() as statements:
        views = world.do(conversations.page, ann.user_id, "", 50).views
    assert [view.data["unread"] for view in views] == [1] * 20
    assert len(statements) == 1


def test_a_private_conversation_shows_its_peer_and_how_far_they_are(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    wire_id = world.send_to(bob, ann)
    world.send(wire_id, ann)
    world.move(wire_id, bob, 1)
    view = world.do(conversations.get, ann.user_id, wire_id)
    assert (view.data["kind"], view.data["name"], view.peer_id) == ("private", "Bob", bob.user_id)
    assert view.data["peer"] | {"online": None} == {
        "id": bob.public_id,
        "name": "Bob",
        "avatar": None,
        "online": None,
        "lastSeenAt": None,
        "deliveredSeq": 1,
        "readSeq": 1,
    }
    assert (view.data["unread"], view.data["readSeq"], view.data["lastSeq"], view.data["change"]) == (0, 2, 2, 2)


def test_who_shows_no_presence_and_sends_no_receipts_is_left_alone(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    wire_id = world.send_to(bob, ann)
    world.move(wire_id, bob, 1)
    world.sql(
        "UPDATE users SET shows_presence = false, sends_receipts = false, last_seen_at = now() WHERE id = :id",
        id=bob.user_id,
    )
    view = world.do(conversations.get, ann.user_id, wire_id)
    assert view.peer_id == 0
    peer = view.data["peer"]
    assert (peer["lastSeenAt"], peer["deliveredSeq"], peer["readSeq"]) == (None, 0, 0)


def test_notes_to_oneself_have_oneself_as_peer(world: World) -> None:
    ann = world.person()
    wire_id = world.send_to(ann, ann)
    view = world.do(conversations.get, ann.user_id, wire_id)
    assert view.data["peer"]["id"] == ann.public_id
    assert view.data["unread"] == 0


@pytest.mark.parametrize(
    "wire_id", ["", "x", "g0", "g999999999", "p1-2-3", "p9-1", "p999999998-999999999", "g1;", "g" + "9" * 30]
)
def test_what_is_nobodys_is_not_ones_own(world: World, wire_id: str) -> None:
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(conversations.get, world.person().user_id, wire_id)


def test_nobody_gets_into_the_conversation_of_others(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    private, group = world.send_to(bob, ann), world.group(ann, bob)
    disguised = f"g{world.number(private)}"  # a private conversation's number is no group's
    for wire_id in (private, group, disguised):
        for work in (conversations.get, conversations.find):
            with pytest.raises(ChatError, match="not_a_member"):
                world.do(work, cat.user_id, wire_id)
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(conversations.update, cat, wire_id, True, None, None)
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(conversations.clear, cat, wire_id)
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(conversations.typing, cat, wire_id, True)


def test_a_hidden_conversation_comes_back_with_the_next_entry(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.do(conversations.update, bob, group, None, None, True)
    assert ids(world, bob.user_id) == []
    assert ids(world, ann.user_id) == [group]
    world.send(group, ann)
    assert ids(world, bob.user_id) == [group]
    world.do(conversations.update, bob, group, None, None, True)
    world.do(conversations.update, bob, group, None, None, False)
    assert ids(world, bob.user_id) == [group]


def test_what_is_not_given_stays(world: World) -> None:
    ann = world.person()
    group = world.group(ann)
    world.do(conversations.update, ann, group, True, True, None)
    data = world.do(conversations.update, ann, group, None, None, None).data
    assert (data["pinned"], data["muted"]) == (True, True)
    data = world.do(conversations.update, ann, group, False, False, None).data
    assert (data["pinned"], data["muted"]) == (False, False)


def test_settings_of_ones_own_are_told_to_nobody_else(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("conversation")
    world.do(conversations.update, bob, group, True, None, None)
    world.do(conversations.clear, bob, group)
    first, second = world.told("conversation")
    assert {first.scope, second.scope} == {"u"}
    assert {first.target, second.target} == {bob.user_id}
    assert (first.data["kind"], second.data["kind"]) == ("preferences", "cleared")
    assert (first.data["userChange"], second.data["userChange"]) == (first.change, first.change + 1)
    assert second.change == first.change + 1


def test_a_cleared_conversation_is_empty_for_its_owner_only(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann)
    world.do(conversations.clear, bob, group)
    assert ids(world, bob.user_id) == []
    assert world.page(bob, group) == {"messages": [], "hasMore": False}
    assert len(world.page(ann, group)["messages"]) == 2
    cleared = world.do(conversations.get, bob.user_id, group).data
    assert (cleared["unread"], cleared["lastMessage"], cleared["readSeq"], cleared["deliveredSeq"]) == (0, None, 2, 2)
    world.send(group, ann, "again")
    assert ids(world, bob.user_id) == [group]
    (message,) = world.page(bob, group)["messages"]
    assert message["content"] == "again"
    assert world.do(conversations.get, bob.user_id, group).data["unread"] == 1


def test_typing_is_told_to_the_members_and_kept_nowhere(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("")
    world.do(conversations.typing, ann, group, True)
    (event,) = world.told("typing")
    assert event.data == {"conversationId": group, "userId": ann.public_id, "typing": True}
    assert (event.scope, event.target, event.change, event.logged) == ("c", world.number(group), 0, False)


def test_typing_is_not_told_in_a_large_group(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.sql("UPDATE conversation_heads SET member_count = 201 WHERE conversation_id = :id", id=world.number(group))
    world.do(conversations.typing, ann, group, True)
    assert world.told("typing") == []


@pytest.mark.parametrize("cursor", ["x", page_cursor(1), page_cursor(True, "yesterday", 1), page_cursor(True, 1, 1)])
def test_a_foreign_cursor_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(ChatError, match="invalid"):
        world.do(conversations.page, world.person().user_id, cursor, 50)
