"""One session's state: what it hands over, what it keeps, and what a sign of life will prove."""

from collections import deque
from typing import Any

from chat.frames import CONVERSATION, USER, WATCHERS, Command, Event
from chat.session import HELD, State
from tests.chat.carrier import session_of


def message(seq: int, target: int = 7, **more: Any) -> Event:
    return Event("message", b"{}", CONVERSATION, target, change=seq, seq=seq, **more)


def test_a_live_session_hands_over_and_remembers_what_is_to_be_proved() -> None:
    session = session_of(1)
    for event in (message(1), message(2), message(5, 8), Event("unread", b"{}", USER, 1)):
        session.push(event)
    assert session.carrier.names() == ["message", "message", "message", "unread"]
    assert session.sent == {7: 2, 8: 5}


def test_a_batch_proves_all_it_tells_of() -> None:
    session = session_of(1)
    batch = Event("offline.batch", b"{}", USER, 0, logged=False)
    batch.told = ((7, 10, 3), (8, 11, 4))
    session.hand_over(batch)
    assert session.sent == {7: 3, 8: 4}


def test_a_session_that_opens_is_handed_nothing() -> None:
    session = session_of(1, live=False)
    session.push(message(1))
    assert (session.carrier.events, session.held) == ([], None)


def test_a_session_that_catches_up_keeps_what_can_be_resumed() -> None:
    session = session_of(1)
    session.state = State.CATCHING
    session.push(message(1))
    session.push(Event("typing", b"{}", CONVERSATION, 7, logged=False))
    assert session.carrier.events == []
    assert [event.name for event in session.held] == ["message"]
    for seq in range(2, HELD + 2):
        session.push(message(seq))
    assert (len(session.held), session.overheard) == (HELD, True)


def test_a_session_that_catches_up_is_told_to_ask_anew_afterwards() -> None:
    session = session_of(1)
    session.state = State.CATCHING
    session.push(Event.resync(1))
    assert [event.name for event in session.held] == ["resync"]


def test_who_comes_and_goes_while_a_session_catches_up_is_kept_for_it_and_nothing_else_of_the_moment() -> None:
    session = session_of(1)
    session.state = State.CATCHING
    turns = [Event("presence", b"%d" % place, WATCHERS, place % 2, logged=False) for place in range(5)]
    for event in (*turns, Event("typing", b"{}", CONVERSATION, 7, logged=False)):
        session.push(event)
    assert session.held is None
    assert session.turns == {0: turns[4], 1: turns[3]}
    for place in range(HELD + 5):
        session.push(Event("presence", b"{}", WATCHERS, place, logged=False))
    assert len(session.turns) == HELD
    assert not session.overheard


def test_a_session_that_has_ended_is_handed_nothing() -> None:
    session = session_of(1)
    session.state = State.CLOSED
    session.push(message(1))
    assert session.carrier.events == []


def test_what_is_with_the_writer_waits_or_runs_is_unanswered() -> None:
    session = session_of(1)
    assert session.unanswered == 0
    session.pending, session.busy = 2, True
    session.commands = deque([Command("ping", 1, {})])
    assert session.unanswered == 4


def test_a_state_only_moves_on() -> None:
    assert State.OPENING < State.CATCHING < State.LIVE < State.CLOSED
