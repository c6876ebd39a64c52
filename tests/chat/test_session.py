"""What a session is handed reaches its client, waits, or is left for it to read: by how far the session is."""

from collections import deque

import pytest

from chat.frames import CONVERSATION, USER, Command, Event
from chat.session import HELD, Session, State
from tests.chat.carrier import session_of


@pytest.fixture
def session() -> Session:
    made: Session = session_of(1)
    return made


def message(seq: int, conversation: int = 7) -> Event:
    return Event("message", b"{}", CONVERSATION, conversation, change=seq, seq=seq)


@pytest.mark.parametrize(
    ("state", "heard", "held"),
    [
        (State.OPENING, [], None),
        (State.CATCHING, [], ["message"]),
        (State.LIVE, ["message"], None),
        (State.CLOSED, [], None),
    ],
)
def test_an_event_is_handed_over_when_live_and_kept_while_catching_up(
    session: Session, state: State, heard: list[str], held: list[str] | None
) -> None:
    session.state = state
    session.push(message(1))
    assert session.carrier.names() == heard  # type: ignore[attr-defined]
    assert (session.held and [event.name for event in session.held]) == held


def test_what_cannot_be_resumed_is_not_kept_while_catching_up(session: Session) -> None:
    session.state = State.CATCHING
    session.push(Event("typing", b"{}", CONVERSATION, 7, logged=False))
    assert session.held is None
    assert not session.overheard


def test_no_more_is_kept_than_the_bound_and_the_session_knows_that_it_lacks_something(session: Session) -> None:
    session.state = State.CATCHING
    for seq in range(1, HELD + 1):
        session.push(message(seq))
    assert not session.overheard
    session.push(message(HELD + 1))
    assert session.overheard
    assert session.held is not None
    assert [event.seq for event in session.held] == list(range(1, HELD + 1)), "the oldest stay, in order"


def test_a_proof_is_of_the_last_entry_handed_over_of_each_conversation(session: Session) -> None:
    for event in (message(4), message(5), message(2, conversation=8)):
        session.push(event)
    assert session.sent == {7: 5, 8: 2}


def test_a_batch_of_missed_messages_is_remembered_by_what_it_tells_of(session: Session) -> None:
    session.push(message(3, conversation=9))
    batch = Event("messages", b"{}", USER, 1)
    batch.told = ((7, 12, 5), (7, 13, 6), (8, 40, 2))
    session.push(batch)
    assert session.sent == {7: 6, 8: 2, 9: 3}


def test_what_has_no_entry_proves_nothing(session: Session) -> None:
    session.push(Event("conversation", b"{}", CONVERSATION, 7, change=9))
    session.push(Event("read", b"{}", USER, 1, change=2, seq=9))
    assert session.sent is None


def test_what_was_only_kept_proves_nothing_yet(session: Session) -> None:
    session.state = State.CATCHING
    session.push(message(1))
    assert session.sent is None


def test_unanswered_are_the_waiting_the_running_and_those_at_the_writer(session: Session) -> None:
    assert session.unanswered == 0
    session.pending, session.busy = 2, True
    assert session.unanswered == 3
    session.commands = deque([Command("ping", number, {}) for number in range(4)])
    assert session.unanswered == 7
