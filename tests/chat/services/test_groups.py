"""Groups: making, finding, naming and ending them."""

import pytest

from chat.errors import ChatError
from chat.services import groups
from chat.services.groups import Settings
from tests.chat.world import World


def test_a_new_group_holds_its_maker_as_owner_and_everybody_named(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    named = [bob.public_id, cat.public_id, ann.public_id]
    data = world.do(groups.create, ann, Settings(name="Club", avatar="/a.png"), named).data
    assert (data["name"], data["avatar"], data["role"], data["memberCount"]) == ("Club", "/a.png", "owner", 3)
    assert (data["history"], data["joining"], data["listed"]) == ("joined", "invited", False)
    assert (data["lastSeq"], data["change"], data["unread"], data["readSeq"]) == (1, 1, 0, 1)
    assert world.read(groups.get, bob.user_id, data["id"])["role"] == "member"
    (notice,) = world.page(cat, data["id"])["messages"]
    assert (notice["type"], notice["content"], notice["senderId"]) == ("system", "Ann created the group.", None)
    assert notice["metadata"]["notice"] == {"kind": "created", "actorId": ann.public_id, "userIds": []}


def test_everybody_in_a_new_group_is_given_it_as_they_see_it(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    (message,) = [event for event in world.events if event.name == "message"]
    assert (message.change, message.seq, message.version) == (1, 1, 1)
    assert message.members == message.added == (ann.user_id, bob.user_id)
    given = {event.target: event.data for event in world.told("conversation")}
    assert {target: data["conversation"]["role"] for target, data in given.items()} == {
        ann.user_id: "owner",
        bob.user_id: "member",
    }
    assert {(data["kind"], data["conversationId"], data["change"]) for data in given.values()} == {("added", group, 1)}


def test_a_crowd_hears_of_its_group_by_the_notice_alone(world: World) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 100)
    world.group(ann, *others)
    (notice,) = world.events
    assert (notice.name, len(notice.added), notice.members) == ("message", 101, ())


def test_ids_that_nobody_has_are_named_and_nothing_is_made(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    with pytest.raises(ChatError) as caught:
        world.do(groups.create, ann, Settings(name="Club"), ["ghost", bob.public_id, "wraith"])
    assert (caught.value.code.name, caught.value.details) == ("invalid", {"memberIds": ["ghost", "wraith"]})
    assert world.rows("SELECT 1 FROM memberships WHERE user_id = :id", id=ann.user_id) == []


def test_a_group_has_no_more_members_than_the_setting_says(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    small = World(world.engine, GROUP_MEMBERS=2)
    with pytest.raises(ChatError, match="group_full"):
        small.do(groups.create, ann, Settings(name="Club"), [bob.public_id, cat.public_id])
    assert small.group(ann, bob)


def test_a_large_group_is_made_in_as_many_statements_as_a_small_one(world: World) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 60)
    with world.counted() as small:
        world.group(ann, *others[:2])
    with world.counted() as large:
        world.group(ann, *others)
    assert len(small) == len(large)


def test_outsiders_see_little_of_a_listed_or_open_group_and_nothing_of_others(world: World) -> None:
    ann, eve = world.people("Ann", "Eve")
    for settings in ({"listed": True}, {"joining": "open"}):
        seen = world.read(groups.get, eve.user_id, world.group(ann, **settings))
        assert (seen["name"], seen["memberCount"]) == ("Club", 1)
        assert "lastMessage" not in seen
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(groups.get, eve.user_id, world.group(ann))
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(groups.get, eve.user_id, world.send_to(ann, world.person()))


def test_listed_groups_come_newest_first_page_by_page_without_the_deleted(world: World) -> None:
    ann = world.person()
    made = [world.group(ann, listed=True) for _ in range(4)]
    world.group(ann)
    world.do(groups.delete, ann, made[2])
    first = world.read(groups.listed, "", 2)
    second = world.read(groups.listed, first["nextCursor"], 1)
    found = [group["id"] for group in first["groups"] + second["groups"]]
    assert found == [made[3], made[1], made[0]]


def test_renaming_is_a_notice_and_told_as_a_setting(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("")
    data = world.read(groups.update, ann, group, Settings(name="Choir", listed=True))
    assert (data["name"], data["listed"], data["lastMessage"]["content"]) == (
        "Choir",
        True,
        "Ann renamed the group to Choir.",
    )
    notice, setting = world.events
    assert notice.data["metadata"]["notice"] == {
        "kind": "renamed",
        "actorId": ann.public_id,
        "userIds": [],
        "name": "Choir",
    }
    assert setting.data == {
        "conversationId": group,
        "change": 3,
        "kind": "settings",
        "name": "Choir",
        "avatar": None,
        "history": "joined",
        "joining": "invited",
        "listed": True,
    }
    assert (setting.change, setting.scope) == (3, "c")
    assert data["change"] == 3


def test_a_setting_without_a_new_name_has_no_notice(world: World) -> None:
    ann = world.person()
    group = world.group(ann, avatar="/a.png")
    world.told("")
    assert world.read(groups.update, ann, group, Settings(name="Club", avatar=""))["avatar"] is None
    assert [event.name for event in world.events] == ["conversation"]


def test_a_name_with_braces_is_only_a_name(world: World) -> None:
    ann = world.person("{actor}")
    data = world.read(groups.update, ann, world.group(ann), Settings(name="{subjects} {0}"))
    assert data["lastMessage"]["content"] == "{actor} renamed the group to {subjects} {0}."


def test_members_cannot_change_a_group_and_only_the_owner_ends_it(world: World) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    group = world.group(ann, bob)
    for work, *more in ((groups.update, Settings(name="Mine")), (groups.delete,)):
        with pytest.raises(ChatError, match="forbidden"):
            world.do(work, bob, group, *more)
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(work, eve, group, *more)


def test_a_deleted_group_is_read_by_nobody_and_everybody_hears_of_it(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob, joining="open", listed=True)
    world.send(group, ann)
    world.told("")
    world.do(groups.delete, ann, group)
    notice = next(event for event in world.events if event.name == "message")
    assert (notice.members, notice.removed, notice.version) == ((), (ann.user_id, bob.user_id), 2)
    removed = {event.target: event.data["kind"] for event in world.told("conversation")}
    assert removed == {ann.user_id: "removed", bob.user_id: "removed"}
    for user in (ann, bob):
        with pytest.raises(ChatError, match="not_a_member"):
            world.page(user, group)
        with pytest.raises(ChatError, match="not_a_member"):
            world.do(groups.get, user.user_id, group)
    with pytest.raises(ChatError, match="not_a_member"):
        world.join(group, bob)
