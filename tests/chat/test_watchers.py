"""Who watches whom in a process, and the event that asks for it."""

from chat.frames import Caller
from chat.watchers import SESSION, Watchers, watch_event
from tests.chat.carrier import session_of


def test_a_new_list_takes_the_place_of_the_old_and_nobody_stays_in_an_empty_one() -> None:
    watchers, bob, cid = Watchers(), session_of(2), session_of(3)
    watchers.watch(bob, [1, 3])
    watchers.watch(cid, [1])
    watchers.watch(bob, [3, 4, 4])
    assert watchers == {1: {cid}, 3: {bob}, 4: {bob}}
    watchers.watch(bob, [])
    assert watchers == {1: {cid}}


def test_who_leaves_watches_nobody_and_may_leave_twice() -> None:
    watchers, bob, cid = Watchers(), session_of(2), session_of(3)
    watchers.watch(bob, [1])
    watchers.watch(cid, [1])
    watchers.leave(bob)
    watchers.leave(bob)
    watchers.leave(session_of(4))
    assert watchers == {1: {cid}}


def test_the_event_names_session_and_user_and_is_kept_in_no_log() -> None:
    event = watch_event(Caller(7, "u7", 1, "s1"), [3, 4])
    assert (event.scope, event.target, event.origin, event.logged) == (SESSION, 7, "s1", False)
    assert event.data == {"users": [3, 4]}
