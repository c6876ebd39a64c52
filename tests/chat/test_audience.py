"""Who of a conversation is here: the lists on both sides agree, and only a step of one version may be taken as told."""

from hypothesis import given
from hypothesis import strategies as st

from chat.audience import Audience, LocalUser
from chat.frames import CONVERSATION, Event

ROOM = 7
numbers = st.sets(st.integers(1, 9))


def people(*numbers: int) -> dict[int, LocalUser]:
    return {number: LocalUser(number, f"u{number}") for number in numbers}


def event(version: int, **more: tuple[int, ...]) -> Event:
    return Event("message", b"{}", CONVERSATION, ROOM, version=version, **more)


def agreed(audience: Audience, here: dict[int, LocalUser]) -> set[int]:
    """Return who is in, which the users' own lists must say, too."""
    assert {user.id for user in here.values() if ROOM in user.conversations} == set(audience.users)
    return set(audience.users)


@given(numbers, st.lists(numbers, min_size=1, max_size=5))
def test_of_a_list_of_members_those_who_are_here_are_taken(present: set[int], lists: list[set[int]]) -> None:
    audience, here = Audience(ROOM, 0, 0), people(*present)
    for version, members in enumerate(lists, 1):
        audience.take_members(version, members, here)
        assert agreed(audience, here) == members & present
        assert audience.version == version


def test_a_list_never_turns_the_version_back() -> None:
    audience = Audience(ROOM, 0, 5)
    audience.take_members(3, [1], people(1))
    assert audience.version == 5


def test_an_event_with_all_its_members_is_followed_from_any_version() -> None:
    audience, here = Audience(ROOM, 0, 1), people(1, 2, 3)
    audience.take_members(1, [1], here)
    assert audience.follow(event(9, members=(2, 4)), here)
    assert (agreed(audience, here), audience.version) == ({2}, 9)


def test_an_event_that_tells_who_comes_and_goes_is_followed_by_one_step() -> None:
    audience, here = Audience(ROOM, 0, 1), people(1, 2, 3)
    audience.take_members(1, [1, 2], here)
    assert audience.follow(event(2, added=(3, 4), removed=(1, 5)), here)
    assert (agreed(audience, here), audience.version) == ({2, 3}, 2)


def test_after_a_missed_step_or_without_a_word_the_members_have_to_be_read() -> None:
    audience, here = Audience(ROOM, 0, 1), people(1, 2)
    audience.take_members(1, [1], here)
    for unclear in (event(3, added=(2,)), event(1, added=(2,)), event(2)):
        assert not audience.follow(unclear, here)
        assert (agreed(audience, here), audience.version) == ({1}, 1)


def test_it_is_behind_while_something_committed_has_not_come_through() -> None:
    audience = Audience(ROOM, 4, 1)
    assert not audience.behind
    audience.wanted = 5
    assert audience.behind
    audience.gate.offer(Event("message", b"{}", CONVERSATION, ROOM, change=5))
    assert not audience.behind
    audience.gate.offer(Event("message", b"{}", CONVERSATION, ROOM, change=7))
    assert audience.behind, "6 is missing, though nobody has said that it is wanted"
