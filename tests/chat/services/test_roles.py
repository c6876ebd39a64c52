"""Roles, and who may write."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from chat.errors import ChatError
from chat.frames import Caller
from chat.services import members, roles
from tests.chat.world import World

MUTED = 4


def role_of(world: World, group: str, user: Caller) -> str:
    found = world.read(members.page, user.user_id, group, "", 50)["members"]
    return next(member["role"] for member in found if member["user"]["id"] == user.public_id)


def test_the_owner_makes_and_unmakes_admins(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("")
    world.do(roles.assign, ann, group, bob.public_id, "admin")
    assert role_of(world, group, bob) == "admin"
    (event,) = world.told("conversation")
    assert event.data == {"conversationId": group, "change": 2, "kind": "roles", "roles": {bob.public_id: "admin"}}
    assert (event.version, event.change, event.seq) == (1, 2, 0)
    world.do(roles.assign, ann, group, bob.public_id, "admin")
    assert world.events == []
    world.do(roles.assign, ann, group, bob.public_id, "member")
    assert role_of(world, group, bob) == "member"


def test_only_the_owner_gives_roles_and_never_to_themselves(world: World) -> None:
    ann, bob, cat, eve = world.people("Ann", "Bob", "Cat", "Eve")
    group = world.group(ann, bob, cat)
    world.do(roles.assign, ann, group, bob.public_id, "admin")
    with pytest.raises(ChatError, match="forbidden"):
        world.do(roles.assign, bob, group, cat.public_id, "admin")
    with pytest.raises(ChatError, match="last_owner"):
        world.do(roles.assign, ann, group, ann.public_id, "member")
    for stranger, code in ((eve.public_id, "unknown_user"), ("ghost", "unknown_user")):
        with pytest.raises(ChatError, match=code):
            world.do(roles.assign, ann, group, stranger, "admin")


def test_there_is_one_owner_before_and_after_handing_over(world: World) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    group = world.group(ann, bob)
    with pytest.raises(ChatError, match="unknown_user"):
        world.do(roles.transfer, ann, group, eve.public_id)
    world.do(roles.transfer, ann, group, ann.public_id)
    assert role_of(world, group, ann) == "owner"
    world.told("")
    world.do(roles.transfer, ann, group, bob.public_id)
    assert (role_of(world, group, ann), role_of(world, group, bob)) == ("admin", "owner")
    (event,) = world.told("conversation")
    assert event.data["roles"] == {ann.public_id: "admin", bob.public_id: "owner"}
    with pytest.raises(ChatError, match="forbidden"):
        world.do(roles.transfer, ann, group, bob.public_id)


def test_who_is_muted_may_not_write_until_then(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.told("")
    until = datetime.now(UTC) + timedelta(hours=1)
    world.do(roles.mute, ann, group, bob.public_id, until)
    (event,) = world.told("conversation")
    assert (event.data["kind"], event.data["userId"]) == ("mute", bob.public_id)
    assert event.data["mutedUntil"] == until.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert world.try_to_send(group, bob)[0] == MUTED
    world.do(roles.mute, ann, group, bob.public_id, None)
    assert world.try_to_send(group, bob)[0] == 0


@pytest.mark.parametrize(
    "until",
    [datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), datetime.max.replace(tzinfo=UTC)],
)
def test_muted_for_ever_is_a_time_that_every_zone_has(world: World, until: datetime) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.do(roles.mute, ann, group, bob.public_id, until)
    assert world.try_to_send(group, bob)[0] == MUTED


@pytest.mark.parametrize(
    "until", [datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime(2020, 1, 1, tzinfo=UTC)]
)
def test_muted_until_the_past_is_not_muted(world: World, until: datetime) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.do(roles.mute, ann, group, bob.public_id, until)
    assert world.told("conversation")[-1].data["mutedUntil"] is None
    assert world.try_to_send(group, bob)[0] == 0


def test_nobody_mutes_upwards(world: World) -> None:
    ann, bob, cat, dan = world.people("Ann", "Bob", "Cat", "Dan")
    group = world.group(ann, bob, cat, dan)
    for admin in (bob, cat):
        world.do(roles.assign, ann, group, admin.public_id, "admin")
    for actor, subject in ((dan, bob), (bob, cat), (bob, ann), (ann, ann)):
        with pytest.raises(ChatError, match="forbidden"):
            world.do(roles.mute, actor, group, subject.public_id, None)
    world.do(roles.mute, bob, group, dan.public_id, None)
