"""Who is in a group, what they see of it, and that the numbers kept of them are true."""

from typing import Any

import pytest

from chat.errors import ChatError
from chat.frames import Caller
from chat.services import conversations, groups, members, roles, sync
from tests.chat.world import World


def contents(world: World, user: Caller, group: str) -> list[str]:
    return [message["content"] for message in world.page(user, group)["messages"]]


def synced(world: World, user: Caller, group: str, seq: int = 0, change: int = 0) -> dict[str, Any]:
    return world.read(sync.states, user.user_id, {group: {"seq": seq, "change": change}})[group]


def check_numbers(world: World, group: str) -> None:
    """The counts kept in the head are those of the memberships."""
    (row,) = world.rows(
        """SELECT member_count, (SELECT count(*) FROM memberships m WHERE m.conversation_id = h.conversation_id
                                 AND m.left_seq IS NULL)
           FROM conversation_heads h WHERE conversation_id = :id""",
        id=world.number(group),
    )
    assert row[0] == row[1]


def test_a_joiner_sees_from_the_join_notice_on(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open")
    world.send(group, ann, "before")
    world.join(group, bob)
    world.send(group, ann, "after")
    assert contents(world, bob, group) == ["Bob joined.", "after"]
    state = synced(world, bob, group)
    assert [message["content"] for message in state["messages"]] == ["Bob joined.", "after"]
    assert (state["readSeq"], state["deliveredSeq"], state["unread"], state["hasMore"]) == (3, 3, 1, False)


def test_a_joiner_sees_everything_where_the_group_says_so_and_has_nothing_unread(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open", history="all")
    world.send(group, ann, "before")
    world.join(group, bob)
    assert contents(world, bob, group) == ["Ann created the group.", "before", "Bob joined."]
    data = world.do(conversations.get, bob.user_id, group).data
    assert (data["unread"], data["readSeq"], data["deliveredSeq"]) == (0, 3, 3)


def test_a_rejoiner_begins_again_at_the_new_join_notice(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob, joining="open")
    world.send(group, ann, "first")
    world.leave(group, bob)
    world.send(group, ann, "while away")
    world.join(group, bob)
    assert contents(world, bob, group) == ["Bob joined."]
    world.send(group, ann, "back")
    state = synced(world, bob, group, seq=2, change=2)
    assert [message["content"] for message in state["messages"]] == ["Bob joined.", "back"]
    assert (state["unread"], state["readSeq"], state["lastSeq"]) == (1, 5, 6)
    check_numbers(world, group)


def test_who_left_reads_nothing_any_more(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann, "mine")
    world.leave(group, bob)
    with pytest.raises(ChatError, match="not_a_member"):
        contents(world, bob, group)
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(members.page, bob.user_id, group, "", 50)
    assert synced(world, bob, group) == {"removed": True}
    assert world.do(conversations.page, bob.user_id, "", 50).views == []
    assert world.try_to_send(group, bob)[0] != 0


def test_leaving_is_told_to_those_who_stay_and_to_the_own_devices(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("")
    world.leave(group, bob)
    notice, own = world.events
    assert (notice.data["content"], notice.members, notice.removed) == ("Bob left.", (ann.user_id,), (bob.user_id,))
    assert (notice.version, notice.change, notice.seq) == (2, 2, 2)
    assert (own.scope, own.target, own.data) == (
        "u",
        bob.user_id,
        {"conversationId": group, "kind": "removed", "userChange": own.change},
    )
    check_numbers(world, group)


def test_the_owner_hands_over_before_leaving_and_the_last_one_ends_the_group(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob, joining="open")
    with pytest.raises(ChatError, match="last_owner"):
        world.leave(group, ann)
    world.do(roles.transfer, ann, group, bob.public_id)
    world.leave(group, ann)
    world.leave(group, bob)
    with pytest.raises(ChatError, match="not_a_member"):
        world.join(group, ann)


def test_joining_twice_is_joining_once(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open")
    world.join(group, bob)
    world.told("")
    assert world.do(members.join, bob, group).data["lastSeq"] == 2
    assert world.events == []


def test_a_group_that_is_not_open_lets_nobody_in(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    with pytest.raises(ChatError, match="join_not_allowed"):
        world.join(world.group(ann), bob)


def test_a_full_group_lets_nobody_in(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    small = World(world.engine, GROUP_MEMBERS=2)
    group = small.group(ann, joining="open")
    with pytest.raises(ChatError, match="group_full"):
        small.do(members.add, ann, group, [bob.public_id, cat.public_id])
    small.join(group, bob)
    with pytest.raises(ChatError, match="group_full"):
        small.join(group, cat)
    check_numbers(world, group)


def test_an_admin_adds_who_is_not_in_yet_with_one_notice(world: World) -> None:
    ann, *others = world.people("Ann", "Bob", "Cat", "Dan", "Eve", "Fay")
    group = world.group(ann, others[0])
    world.told("")
    world.do(members.add, ann, group, [other.public_id for other in others])
    notice = world.events[0]
    fresh = others[1:]
    assert notice.data["content"] == "Ann added Cat, Dan, Eve and one more."
    assert notice.data["metadata"]["notice"]["userIds"] == [other.public_id for other in fresh]
    assert notice.added == tuple(other.user_id for other in fresh)
    assert {event.target for event in world.told("conversation")} == set(notice.added)
    assert world.do(members.add, ann, group, [others[0].public_id]).data["lastSeq"] == 2
    assert world.events == []
    check_numbers(world, group)


def test_a_member_adds_and_removes_nobody(world: World) -> None:
    ann, bob, cat, eve = world.people("Ann", "Bob", "Cat", "Eve")
    group = world.group(ann, bob, cat)
    with pytest.raises(ChatError, match="forbidden"):
        world.do(members.add, bob, group, [eve.public_id])
    with pytest.raises(ChatError, match="forbidden"):
        world.do(members.remove, bob, group, cat.public_id)
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(members.remove, eve, group, cat.public_id)


def test_ids_that_nobody_has_are_named(world: World) -> None:
    ann = world.person()
    with pytest.raises(ChatError) as caught:
        world.do(members.add, ann, world.group(ann), ["ghost"])
    assert caught.value.details == {"userIds": ["ghost"]}


def test_an_admin_removes_members_but_neither_admins_nor_the_owner(world: World) -> None:
    ann, bob, cat, dan = world.people("Ann", "Bob", "Cat", "Dan")
    group = world.group(ann, bob, cat, dan)
    for admin in (bob, cat):
        world.do(roles.assign, ann, group, admin.public_id, "admin")
    for untouchable in (ann, bob, cat):
        with pytest.raises(ChatError, match="forbidden"):
            world.do(members.remove, bob, group, untouchable.public_id)
    world.told("")
    world.do(members.remove, bob, group, dan.public_id)
    notice, own = world.events
    assert (notice.data["content"], notice.removed, own.target) == ("Bob removed Dan.", (dan.user_id,), dan.user_id)
    with pytest.raises(ChatError, match="unknown_user"):
        world.do(members.remove, ann, group, dan.public_id)
    world.do(members.remove, ann, group, bob.public_id)
    check_numbers(world, group)


def test_a_returning_member_is_a_plain_one_who_may_still_not_write(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob, joining="open")
    world.do(roles.assign, ann, group, bob.public_id, "admin")
    world.sql("UPDATE memberships SET muted_until = now() + interval '1 day' WHERE user_id = :id", id=bob.user_id)
    world.leave(group, bob)
    world.join(group, bob)
    data = world.do(conversations.get, bob.user_id, group).data
    assert data["role"] == "member"
    assert "mutedUntil" in data


def test_large_groups_name_no_members_in_their_events(world: World) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 21)
    group = world.group(ann, *others[:19], joining="open")
    assert len(world.told("message")[0].members) == 20
    world.join(group, others[20])
    assert world.told("message")[0].members == ()


def test_the_members_come_page_by_page_with_their_positions(world: World) -> None:
    ann, *others = world.people("Ann", "Bob", "Cat", "Dan")
    group = world.group(ann, *others)
    world.send(group, ann)
    world.move(group, others[0], 2)
    world.leave(group, others[1])
    first = world.read(members.page, ann.user_id, group, "", 2)
    second = world.read(members.page, ann.user_id, group, first["nextCursor"], 2)
    found = first["members"] + second["members"]
    assert second["nextCursor"] is None
    assert [(member["user"]["name"], member["role"]) for member in found] == [
        ("Ann", "owner"),
        ("Bob", "member"),
        ("Dan", "member"),
    ]
    assert [(member["deliveredSeq"], member["readSeq"]) for member in found] == [(2, 2), (2, 2), (1, 1)]


def test_positions_of_a_large_group_are_given_on_request(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.sql("UPDATE conversation_heads SET member_count = 201 WHERE conversation_id = :id", id=world.number(group))
    assert "readSeq" not in world.read(members.page, ann.user_id, group, "", 50)["members"][0]
    assert "readSeq" in world.read(members.page, ann.user_id, group, "", 50, positions=True)["members"][0]


def test_receipts_not_given_are_not_read_off_the_member_list(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.sql("UPDATE users SET sends_receipts = false WHERE id = :id", id=bob.user_id)
    for user, shown in ((ann, 0), (bob, 1)):
        members_seen = world.read(members.page, user.user_id, group, "", 50)["members"]
        assert members_seen[1]["readSeq"] == members_seen[1]["deliveredSeq"] == shown


def test_the_members_of_a_private_conversation_are_both(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    found = world.read(members.page, ann.user_id, world.send_to(bob, ann), "", 50)["members"]
    assert [member["user"]["name"] for member in found] == ["Ann", "Bob"]


def test_a_page_of_members_is_one_statement(world: World) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 30)
    group = world.group(ann, *others)
    with world.counted() as statements:
        assert len(world.read(members.page, ann.user_id, group, "", 100)["members"]) == 31
    assert len(statements) == 1


@pytest.mark.parametrize("work", [members.join, members.leave, groups.delete])
def test_a_private_conversation_is_no_group(world: World, work: Any) -> None:
    ann, bob = world.people("Ann", "Bob")
    wire_id = world.send_to(bob, ann)
    for named in (wire_id, f"g{world.number(wire_id)}"):
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(work, ann, named)
