"""Users by wire id."""

import pytest

from chat.errors import ChatError
from chat.services import people
from tests.chat.world import World


def test_users_come_by_number_and_each_once(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    found = world.do(people.named, [bob.public_id, ann.public_id, bob.public_id], "userIds")
    assert [(person.id, person.name) for person in found] == [(ann.user_id, "Ann"), (bob.user_id, "Bob")]
    assert world.do(people.one, ann.public_id) == world.do(people.the_caller, ann.user_id) == found[0]


def test_unknown_ids_are_named(world: World) -> None:
    with pytest.raises(ChatError) as caught:
        world.do(people.named, ["no2", "no1"], "userIds")
    assert caught.value.details == {"userIds": ["no1", "no2"]}


def test_nobody_is_unknown(world: World) -> None:
    with pytest.raises(ChatError, match="unknown_user"):
        world.do(people.one, "nobody")
    with pytest.raises(ChatError, match="unknown_user"):
        world.do(people.the_caller, 2**62)
