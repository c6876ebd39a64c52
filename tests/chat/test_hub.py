"""The hub: exactly the members of an event's version hear it, in order, whatever overtakes what."""

from typing import Any

import pytest

from chat.audience import Audience
from chat.frames import CONVERSATION, USER, WATCHERS, Caller, Event
from chat.hub import BREATH, KEPT_WHILE_OPENING, Hub
from chat.session import HELD, State
from chat.watchers import watch_event
from tests.chat.carrier import session_of

ROOM = 7


class House:
    """A hub, with what it asked the database for."""

    def __init__(self) -> None:
        self.holes: list[Audience] = []
        self.lists: list[Audience] = []
        self.hub = Hub(self.holes.append, self.lists.append)

    def come(self, user_id: int, *, change: int = 0, version: int = 1, rooms: tuple[int, ...] = (ROOM,)) -> Any:
        """Open a live session of a user who is in these rooms."""
        session = session_of(user_id, owner=self.hub)
        user = self.hub.enter(session)
        for room in rooms:
            self.hub.join(user, room, change, version)
        return session

    def offer(self, *events: Event) -> None:
        for event in events:
            self.hub.offer(event)


@pytest.fixture
def house() -> House:
    return House()


def message(change: int, version: int = 1, **more: Any) -> Event:
    name = more.pop("name", "message")
    return Event(name, b"{}", CONVERSATION, ROOM, **{"change": change, "seq": change, "version": version} | more)


def heard(session: Any) -> list[int]:
    found: list[int] = session.carrier.changes()
    return found


# Whom it goes to.


def test_every_session_of_every_member_hears_a_message_and_nobody_else(house: House) -> None:
    ann, ann_too, bob, stranger = house.come(1), house.come(1), house.come(2), house.come(3, rooms=())
    house.offer(message(1))
    assert [heard(session) for session in (ann, ann_too, bob, stranger)] == [[1], [1], [1], []]


def test_the_sending_session_gets_the_reply_only(house: House) -> None:
    sender, other = house.come(1), house.come(1)
    house.offer(message(1, origin=sender.id))
    assert heard(sender) == []
    assert heard(other) == [1]


def test_an_event_for_a_user_goes_to_their_sessions_only(house: House) -> None:
    ann, bob = house.come(1), house.come(2)
    house.offer(Event("unread", b"{}", USER, 1))
    assert ann.carrier.names() == ["unread"]
    assert bob.carrier.names() == []


def test_an_event_of_a_conversation_nobody_here_is_in_costs_nothing(house: House) -> None:
    house.come(1, rooms=())
    house.offer(message(1))
    assert house.hub.audiences == {}
    assert house.lists == house.holes == []


def test_what_is_not_durable_goes_past_the_gate(house: House) -> None:
    ann = house.come(1)
    house.offer(message(5), Event("typing", b"{}", CONVERSATION, ROOM, logged=False))
    assert ann.carrier.names() == ["typing"]


# In which order.


def test_events_leave_in_the_order_of_their_changes(house: House) -> None:
    ann = house.come(1, change=100)
    house.offer(message(102), message(103), message(101), message(102))
    assert heard(ann) == [101, 102, 103]


def test_a_hole_is_asked_for_once_and_filled(house: House) -> None:
    ann = house.come(1)
    house.offer(message(2), message(3), message(4))
    (hole,) = house.holes
    assert heard(ann) == []
    house.hub.filled(hole, [message(1)], 1)
    assert heard(ann) == [1, 2, 3, 4]


def test_a_hole_that_the_database_could_not_fill_yet_is_asked_for_again(house: House) -> None:
    ann = house.come(1)
    house.offer(message(3))
    house.hub.filled(house.holes[0], [message(1)], 1)
    assert heard(ann) == [1]
    assert len(house.holes) == 2
    house.hub.filled(house.holes[1], [message(2)], 2)
    assert heard(ann) == [1, 2, 3]


def test_what_waits_for_a_hole_or_a_list_is_told_until_it_is_delivered(house: House) -> None:
    house.come(1)
    early, later = message(2), message(3, version=5)
    house.offer(early)
    assert list(house.hub.waiting()) == [early]
    house.hub.filled(house.holes[0], [message(1)], 1)
    assert list(house.hub.waiting()) == []
    house.offer(later)
    assert list(house.hub.waiting()) == [later]
    house.hub.members_read(house.lists[0], 5, [(1, 0)])
    assert list(house.hub.waiting()) == []


# Members come and go.


def test_who_is_added_hears_the_very_event_and_who_is_removed_too_for_the_last_time(house: House) -> None:
    ann, bob, cid = house.come(1), house.come(2), house.come(3, rooms=())
    house.offer(message(1), message(2, 2, added=(3,)), message(3, 2), message(4, 3, removed=(2,)), message(5, 3))
    assert heard(ann) == [1, 2, 3, 4, 5]
    assert heard(cid) == [2, 3, 4, 5]
    assert 5 not in heard(bob)
    assert 4 not in heard(bob)  # told in an event of their own: the conversation is closed to them from the commit on
    assert house.lists == []


def test_who_is_let_in_by_what_comes_twice_while_the_list_is_read_gets_it_once_and_in_its_order(house: House) -> None:
    house.come(1)
    bob = house.come(2, rooms=())
    room = house.hub.audiences[ROOM]
    house.hub.filled(room, [message(1, version=2), message(2, version=3, added=(2,))], 2)
    house.offer(message(2, version=3, added=(2,)))  # by the bus, later than by the database
    assert house.lists == [room]
    house.hub.members_read(room, 3, [(1, 0), (2, 0)])
    assert heard(bob) == [1, 2]


def test_who_was_let_in_by_what_the_database_told_is_not_told_once_more_by_the_bus(house: House) -> None:
    house.come(1)
    bob = house.come(2, rooms=())
    room = house.hub.audiences[ROOM]
    house.hub.filled(room, [message(1, version=2), message(2, version=3)], 2)  # it does not say who came
    house.hub.members_read(room, 3, [(1, 0), (2, 1)])
    house.offer(message(2, version=3, added=(2,)))
    assert heard(bob) == [2]
    assert bob.carrier.names() == ["message"]
    assert house.lists == [room]


def test_what_is_read_for_a_room_that_all_have_left_goes_to_nobody_who_came_back_since(house: House) -> None:
    gone = house.come(1)
    house.offer(message(3))  # a hole: the database is asked
    house.hub.leave(gone)
    ann = house.come(1, change=3)
    (left,) = house.holes
    house.hub.filled(left, [message(1, version=2), message(2, version=2), message(3, version=2)], 3)
    assert house.lists == []
    house.offer(message(4))
    assert heard(ann) == [4]
    assert not house.hub.lagging()
    assert list(house.hub.waiting()) == []


def test_a_kicked_member_gets_nothing_after_the_kick_even_if_the_kick_comes_late(house: House) -> None:
    ann, bob = house.come(1), house.come(2)
    house.offer(message(2, 2), message(1, 2, removed=(2,)))
    assert heard(ann) == [1, 2]
    assert heard(bob) == []


def test_a_version_that_was_skipped_has_the_list_read_before_anything_goes_out(house: House) -> None:
    ann, bob, cid = house.come(1), house.come(2), house.come(3, rooms=())
    house.offer(message(1, 4), message(2, 4), message(3, 4))
    assert heard(ann) == heard(bob) == []
    (asked,) = house.lists
    house.hub.members_read(asked, 4, [(1, 0), (3, 0)])
    assert [heard(session) for session in (ann, bob, cid)] == [[1, 2, 3], [], [1, 2, 3]]


def test_a_list_older_than_an_event_that_waits_is_read_again_and_the_order_is_kept(house: House) -> None:
    ann, bob = house.come(1), house.come(2)
    house.offer(message(1, 4), message(2, 6), message(3, 6))
    house.hub.members_read(house.lists[0], 5, [(1, 0), (2, 0)])
    assert heard(ann) == [1]
    house.hub.members_read(house.lists[1], 6, [(1, 0)])
    assert heard(ann) == [1, 2, 3]
    assert heard(bob) == [1]


def test_who_came_in_while_events_waited_gets_only_what_was_written_after(house: House) -> None:
    ann, cid = house.come(1), house.come(3, rooms=())
    house.offer(message(4, 1), message(5, 3))  # 1 to 3 are missing
    house.hub.filled(house.holes[0], [message(change, 2) for change in (1, 2, 3)], 3)
    house.hub.members_read(house.lists[0], 3, [(1, 0), (3, 4)])
    assert heard(ann) == [1, 2, 3, 4, 5]
    assert heard(cid) == [5]


def test_what_comes_late_from_before_a_membership_is_not_told_to_who_came_since(house: House) -> None:
    ann = house.come(1)
    bob = house.come(2, rooms=())
    house.hub.join(house.hub.users[2], ROOM, 10, 2, 9)
    house.hub.members_read(house.lists[0], 2, [(1, 0), (2, 9)])
    cid = house.come(3, rooms=())
    house.hub.join(house.hub.users[3], ROOM, 12, 2, 10)
    house.offer(message(12, 2))
    house.hub.filled(house.holes[0], [message(change, 2) for change in range(1, 12)], 11)
    assert heard(ann) == list(range(1, 13))
    assert heard(bob) == [10, 11, 12]
    assert heard(cid) == [11, 12]


def test_who_comes_back_where_all_may_be_seen_now_is_told_all_that_comes_late(house: House) -> None:
    house.come(1)
    bob = house.come(2, rooms=())
    house.hub.join(house.hub.users[2], ROOM, 3, 1, 3)
    house.offer(message(5, 4))
    house.hub.filled(house.holes[0], [message(change, 4) for change in range(1, 5)], 4)
    house.hub.members_read(house.lists[0], 4, [(1, 0), (2, 0)])
    assert heard(bob) == [1, 2, 3, 4, 5]


def test_an_entry_is_told_anew_to_those_who_may_see_it(house: House) -> None:
    ann, bob = house.come(1, change=7), house.come(2, rooms=())
    house.offer(message(8, 2, added=(2,)), message(9, 2, name="message.updated", seq=5), message(10, 2))
    (asked,) = house.lists
    house.hub.members_read(asked, 2, [(1, 0), (2, 7)])
    assert heard(ann) == [8, 9, 10]
    assert heard(bob) == [8, 10]


def test_an_entry_is_told_anew_without_asking_where_all_here_are_known_to_see_it(house: House) -> None:
    ann, bob = house.come(1, change=7), house.come(2, rooms=())
    house.offer(message(8, 2, added=(2,)), message(9, 2), message(10, 2, name="message.updated", seq=8))
    assert heard(ann) == heard(bob) == [8, 9, 10]
    house.offer(message(11, 2, name="message.updated", seq=5))
    house.hub.members_read(house.lists[0], 2, [(1, 0), (2, 7)])
    house.offer(message(12, 2, name="message.updated", seq=5), message(13, 2, name="message.updated", seq=8))
    assert heard(ann) == [8, 9, 10, 11, 12, 13]
    assert heard(bob) == [8, 9, 10, 13]
    assert len(house.lists) == 1


def test_nobody_stands_beyond_what_waits_for_a_list_that_was_asked_for_before_it_came(house: House) -> None:
    house.come(1)
    house.come(2, version=2)  # has the list read
    house.hub.expect(ROOM, 2)
    assert list(house.hub.waiting()) == []
    house.hub.filled(house.holes[0], [message(1, 2), message(2, 2)], 2)
    assert len(list(house.hub.waiting())) == 2
    assert house.hub.lagging()
    house.hub.members_read(house.lists[0], 2, [(1, 0), (2, 0)])
    assert not house.hub.lagging()


def test_who_has_left_the_process_leaves_nothing_of_what_they_may_not_see(house: House) -> None:
    house.come(1)
    bob = house.come(2, rooms=())
    house.hub.join(house.hub.users[2], ROOM, 3, 1, 3)
    house.hub.leave(bob)
    assert not house.hub.audiences[ROOM].floors


def test_an_event_with_few_members_carries_the_list_itself(house: House) -> None:
    ann, bob, cid = house.come(1), house.come(2), house.come(3, rooms=())
    house.offer(message(1, 9, members=(1, 3)))
    assert [heard(session) for session in (ann, bob, cid)] == [[1], [], [1]]
    assert house.lists == []


def test_the_first_message_of_a_private_conversation_opens_its_room_and_pairs_both(house: House) -> None:
    ann, bob = house.come(1, rooms=()), house.come(2, rooms=())
    house.offer(message(1, 1, members=(1, 2), private=True))
    house.offer(Event("presence", b"{}", WATCHERS, 1))
    assert bob.carrier.names() == ["message", "presence"]
    assert ann.carrier.names() == ["message"]


def test_being_added_to_a_group_unknown_here_opens_its_room(house: House) -> None:
    cid = house.come(3, rooms=())
    house.offer(message(41, 8, added=(3,)), message(42, 8))
    assert heard(cid) == []
    house.hub.members_read(house.lists[0], 8, [(1, 0), (3, 40)])
    assert heard(cid) == [41, 42]


def test_a_user_who_opens_behind_the_room_has_the_list_read(house: House) -> None:
    house.come(1, version=3)
    house.come(2, version=2)  # what the database said is older: is the user still a member at 3?
    (asked,) = house.lists
    assert 2 not in asked.users
    house.hub.members_read(asked, 3, [(1, 0), (2, 0)])
    assert 2 in asked.users


def test_a_user_who_opens_ahead_of_the_room_has_the_list_read_and_is_in_it(house: House) -> None:
    house.come(1, version=3)
    bob = house.come(2, version=4)
    assert len(house.lists) == 1
    house.offer(message(1, 4))
    assert heard(bob) == []
    house.hub.members_read(house.lists[0], 4, [(1, 0), (2, 0)])
    assert heard(bob) == [1]


# While sessions open.


def test_who_was_let_in_while_anothers_opening_made_the_room_is_in_it_once_that_is_told(house: House) -> None:
    bob = house.come(2, rooms=())
    ann = house.come(1, change=1)
    house.offer(message(1, members=(1, 2), added=(1, 2)), message(2))
    assert heard(bob) == [1, 2]
    assert heard(ann) == [2]


def test_the_first_message_of_a_private_conversation_reaches_who_was_here_before_its_sender_came(house: House) -> None:
    bob = house.come(2, rooms=())
    house.come(1, change=1)
    house.offer(message(1, members=(1, 2), private=True), message(2, members=(1, 2), private=True))
    house.offer(Event("presence", b"{}", WATCHERS, 1, logged=False))
    assert bob.carrier.names() == ["message", "message", "presence"]


def test_who_was_let_in_and_is_told_so_after_more_has_come_has_to_ask_for_it(house: House) -> None:
    bob = house.come(2, rooms=())
    ann = house.come(1, change=1)
    house.offer(message(2), message(1, members=(1, 2), added=(1, 2)))
    assert bob.carrier.names() == ["resync"]
    house.hub.members_read(house.lists[0], 1, [(1, 0), (2, 0)])
    house.offer(message(3))
    assert heard(bob)[-1:] == heard(ann)[-1:] == [3]


def test_who_is_told_of_a_group_before_being_told_that_it_let_them_in_has_to_ask_for_what_came_between(
    house: House,
) -> None:
    bob = house.come(2, rooms=())
    house.offer(message(3, members=(1, 2)), message(3, members=(1, 2)))
    assert bob.carrier.names() == ["message"]
    house.offer(message(1, members=(1, 2), added=(1, 2)), message(4, members=(1, 2)))
    house.hub.members_read(house.lists[0], 1, [(1, 0), (2, 0)])
    assert bob.carrier.names() == ["message", "resync", "message"]


def test_what_comes_while_a_session_opens_is_kept_and_reaches_it(house: House) -> None:
    house.hub.opening += 1
    house.offer(message(5), message(6))
    ann = house.come(1, change=5)  # the database was read before the sixth
    house.hub.opening -= 1
    house.hub.opened()
    assert heard(ann) == [6]


def test_nobody_stands_beyond_an_event_that_is_kept(house: House) -> None:
    house.hub.opening += 1
    kept = message(5)
    house.offer(kept)
    assert list(house.hub.waiting()) == [kept]
    house.hub.opening -= 1
    house.hub.opened()
    assert list(house.hub.waiting()) == []


def test_who_was_let_in_while_their_session_opened_is_found_by_reading_the_list(house: House) -> None:
    house.come(1, version=1)
    house.hub.opening += 1
    house.offer(message(1, 2, added=(3,)))
    house.come(3, rooms=())  # the database was read before they were added
    house.hub.opening -= 1
    house.hub.opened()
    (asked,) = house.lists
    house.hub.members_read(asked, 2, [(1, 0), (3, 0)])
    assert 3 in asked.users


def test_whom_conversations_let_in_while_sessions_open_is_known_until_they_are_open(house: House) -> None:
    house.come(1, rooms=())
    house.offer(message(1, 0, members=(1, 2), private=True))
    assert house.hub.begun_with(2) == set()
    house.hub.opening += 1
    house.offer(Event("message", b"{}", CONVERSATION, 8, change=1, seq=1, members=(1, 2), private=True))
    house.offer(message(1, 2, added=(2, 3)))
    assert house.hub.begun_with(2) == {ROOM, 8}
    assert house.hub.begun_with(1) == {8}
    house.hub.opening -= 1
    house.hub.opened()
    assert house.hub.begun_with(2) == set()


def test_what_is_kept_while_sessions_open_is_bounded(house: House) -> None:
    house.hub.opening += 1
    for number in range(KEPT_WHILE_OPENING + 10):
        house.offer(Event("message", b"{}", CONVERSATION, 1_000 + number, change=1, version=1))
    assert len(house.hub._kept) == KEPT_WHILE_OPENING


def test_what_was_too_much_to_keep_while_a_session_opened_is_read_from_the_database(house: House) -> None:
    house.hub.opening += 1
    for number in range(KEPT_WHILE_OPENING):
        house.offer(Event("message", b"{}", CONVERSATION, 1_000 + number, change=1, version=1))
    house.offer(message(5), message(6))
    ann = house.come(1, change=4)
    house.hub.opening -= 1
    house.hub.opened()
    (room,) = house.holes
    assert (room.id, room.wanted) == (ROOM, 6)
    house.hub.filled(room, [message(5), message(6)], 6)
    assert heard(ann) == [5, 6]


def test_a_session_that_catches_up_keeps_what_is_logged_and_says_when_it_was_too_much(house: House) -> None:
    ann = house.come(1)
    ann.state = State.CATCHING
    house.offer(Event("presence", b"{}", CONVERSATION, ROOM, logged=False))
    for change in range(1, HELD + 2):
        house.offer(message(change))
    assert [event.change for event in ann.held] == list(range(1, HELD + 1))
    assert ann.overheard
    assert heard(ann) == []


# Presence.


def test_peers_and_watchers_hear_of_a_user_once(house: House) -> None:
    ann, bob, cid, stranger = house.come(1), house.come(2), house.come(3), house.come(4)
    house.hub.watchers.pair(house.hub.users[2], 1)
    house.hub.watchers.watch(bob, [1])
    house.hub.watchers.watch(cid, [1, 4])
    house.offer(Event("presence", b"{}", WATCHERS, 1))
    assert [session.carrier.names() for session in (ann, bob, cid, stranger)] == [[], ["presence"], ["presence"], []]


def test_a_new_list_of_the_watched_takes_the_place_of_the_old(house: House) -> None:
    bob = house.come(2)
    house.hub.watchers.watch(bob, [1, 3])
    house.hub.watchers.watch(bob, [3, 4])
    for user_id in (1, 3, 4):
        house.offer(Event("presence", b"{}", WATCHERS, user_id))
    assert len(bob.carrier.events) == 2
    assert set(house.hub.watchers) == {3, 4}


def test_a_session_is_made_a_watcher_by_an_event_of_its_own_user_only_and_hears_nothing_of_it(house: House) -> None:
    bob = house.come(2)
    house.offer(watch_event(Caller(3, "u3", 1, bob.id), [1]))
    house.offer(watch_event(Caller(2, "u2", 1, "elsewhere"), [1]))
    assert not house.hub.watchers
    house.offer(watch_event(Caller(2, "u2", 1, bob.id), [1]))
    assert house.hub.watchers == {1: {bob}}
    assert bob.carrier.events == []


# The end.


def test_nothing_is_left_of_who_has_gone(house: House) -> None:
    sessions = [house.come(1), house.come(1), house.come(2)]
    house.hub.watchers.pair(house.hub.users[1], 2)
    house.hub.watchers.pair(house.hub.users[2], 1)
    house.hub.watchers.watch(sessions[0], [2])
    for session in sessions:
        house.hub.leave(session)
        house.hub.leave(session)  # twice harms nobody
    hub = house.hub
    assert (hub.users, hub.sessions, hub.audiences, hub.watchers, hub.watchers.peers) == ({}, {}, {}, {}, {})


def test_a_room_whose_last_member_went_while_its_list_was_read_is_let_go(house: House) -> None:
    ann = house.come(1)
    house.offer(message(1, 4))
    house.hub.leave(ann)
    house.hub.members_read(house.lists[0], 4, [(1, 0)])
    assert house.hub.audiences == {}


def test_the_other_session_of_a_user_stays(house: House) -> None:
    first, second = house.come(1), house.come(1)
    house.hub.leave(first)
    house.offer(message(1))
    assert heard(first) == []
    assert heard(second) == [1]


# Writing.


def test_a_large_crowd_is_written_to_with_breaths_in_between(house: House) -> None:
    sessions = [house.come(number) for number in range(1, 2 * BREATH + 2)]
    breaths: list[int] = []
    house.offer(message(1))
    house.hub.flush(lambda: breaths.append(sum(session.carrier.flushes for session in sessions)))
    assert breaths == [BREATH, 2 * BREATH]
    assert all(session.carrier.flushes == 1 for session in sessions)


def test_a_message_is_encoded_once_for_all(house: House) -> None:
    event = message(1)
    for number in range(1, 4):
        house.come(number)
    house.offer(event)
    made = [event.encoded("native", lambda one: b"frame") for _ in range(3)]
    assert made[0] is made[1] is made[2]


# What nobody told.


def test_what_the_database_is_known_to_hold_is_read_until_it_has_come_through(house: House) -> None:
    ann = house.come(1)
    house.hub.expect(ROOM, 3)
    assert house.hub.lagging()
    assert not house.hub.reached(ROOM, 3)
    house.hub.filled(house.holes[0], [message(1), message(2)], 2)
    assert len(house.holes) == 2
    house.hub.filled(house.holes[1], [message(3)], 3)
    assert heard(ann) == [1, 2, 3]
    assert house.hub.reached(ROOM, 3)
    assert not house.hub.lagging()


def test_a_hole_before_what_came_counts_as_committed(house: House) -> None:
    house.come(1)
    house.offer(message(2))  # the first was told while nobody here listened
    assert house.hub.lagging()
    house.hub.filled(house.holes[0], [message(1)], 1)
    assert not house.hub.lagging()


def test_the_second_message_of_a_new_private_conversation_waits_for_the_first(house: House) -> None:
    ann = house.come(1, rooms=())
    house.offer(message(2, 0, members=(1, 2), private=True))
    assert heard(ann) == []
    house.offer(message(1, 0, members=(1, 2), private=True))
    assert heard(ann) == [1, 2]


def test_a_private_conversation_that_nobody_told_of_is_opened_and_read_from_its_beginning(house: House) -> None:
    ann = house.come(1, rooms=())
    house.hub.begin(ROOM, 0, 1, (1, 2))
    house.hub.filled(house.holes[0], [message(1, 0, members=(1, 2), private=True)], 1)
    assert heard(ann) == [1]
    assert {user: set(peers) for user, peers in house.hub.watchers.peers.items()} == {2: {1}}


def test_a_group_that_nobody_told_of_is_read_for_whom_it_let_in_and_shows_nothing_from_before(house: House) -> None:
    ann = house.come(1, rooms=())
    house.hub.begin(ROOM, 0, 3)
    house.hub.filled(house.holes[0], [message(change, 2) for change in (1, 2, 3)], 3)
    house.hub.members_read(house.lists[0], 2, [(1, 2)])
    assert heard(ann) == [3]
