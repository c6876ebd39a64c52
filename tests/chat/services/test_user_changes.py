"""A user's own count of changes."""

from chat.services import user_changes
from tests.chat.world import World


def test_changes_of_a_user_are_counted_one_by_one(world: World) -> None:
    ann = world.person()
    assert [world.do(user_changes.next_change, ann.user_id) for _ in range(3)] == [1, 2, 3]


def test_changes_of_many_are_one_statement_and_each_their_own(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.do(user_changes.next_change, bob.user_id)
    with world.counted() as statements:
        assert world.do(user_changes.next_changes, [bob.user_id, ann.user_id]) == {ann.user_id: 1, bob.user_id: 2}
    assert len(statements) == 1


def test_what_is_told_bears_the_users_change(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.do(user_changes.tell, "conversation", {ann.user_id: {"kind": "a"}, bob.user_id: {"kind": "b"}})
    told = {event.target: event for event in world.told("conversation")}
    assert told[ann.user_id].data == {"kind": "a", "userChange": 1}
    assert (told[bob.user_id].scope, told[bob.user_id].change, told[bob.user_id].logged) == ("u", 1, True)


def test_the_tail_finds_whose_change_is_recent(world: World) -> None:
    ann = world.person()
    world.do(user_changes.next_change, ann.user_id)
    ((age,),) = world.rows(
        "SELECT extract(epoch FROM clock_timestamp()) - touched * 8 FROM user_heads WHERE user_id = :id", id=ann.user_id
    )
    assert -8 <= age < 60
