"""A conversation as each of its members sees it."""

import orjson

from chat.services import views
from tests.chat.world import World


def test_each_member_sees_their_own_role_and_count(world: World) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    group = world.group(ann, bob, joining="open")
    world.send(group, ann)
    world.join(group, cat)
    world.do(views.of_members, world.number(group), [])
    seen = {
        view.user_id: view.data for view in world.do(views.of_members, world.number(group), [ann.user_id, bob.user_id])
    }
    assert {user: (data["role"], data["unread"], data["readSeq"]) for user, data in seen.items()} == {
        ann.user_id: ("owner", 0, 2),
        bob.user_id: ("member", 1, 1),
    }


def test_the_last_entry_is_shown_to_those_who_may_see_it(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann, "newest")
    view = world.do(views.one, bob.user_id, group)
    assert orjson.loads(orjson.dumps(view.data))["lastMessage"]["content"] == "newest"
    world.sql("UPDATE memberships SET visible_from = 2 WHERE user_id = :id", id=bob.user_id)
    assert world.do(views.one, bob.user_id, group).data["lastMessage"] is None


def test_being_away_is_said_only_of_those_who_are(world: World) -> None:
    ann = world.person()
    group = world.group(ann)
    assert "away" not in world.do(views.one, ann.user_id, group).data
    world.sql("UPDATE memberships SET away = true WHERE user_id = :id", id=ann.user_id)
    assert world.do(views.one, ann.user_id, group).data["away"] is True


def test_who_is_not_in_it_sees_none(world: World) -> None:
    ann, eve = world.people("Ann", "Eve")
    assert world.do(views.one, eve.user_id, world.group(ann)) is None


def test_the_key_of_a_view_is_its_place_in_the_list(world: World) -> None:
    ann = world.person()
    groups = [world.group(ann) for _ in range(3)]
    found = world.do(views.first_page, ann.user_id, 2)
    rest = world.do(views.next_page, ann.user_id, 2, found[-1].key)
    assert [view.data["id"] for view in found + rest] == groups[::-1]
    assert [view.key for view in found + rest] == sorted((view.key for view in found + rest), reverse=True)
