"""The pulse: pings to the quiet, proofs for the busy, an end for the lost and the idle. The clock is the test's."""

from typing import Any

import pytest

from chat.errors import CloseReason
from chat.frames import CONVERSATION, USER, Event
from chat.hub import Hub
from chat.pulse import ANSWER, UNPROVED, Pulse
from chat.session import State
from tests.chat.carrier import session_of

PING = 25
HOURS = 24
T = 100.0  # when sessions begin


class Ward:
    """A pulse over a hub, with what it said."""

    def __init__(self, idle_hours: int = HOURS) -> None:
        self.hub = Hub(print, print)
        self.ended: list[tuple[Any, CloseReason]] = []
        self.alive: list[str] = []
        self.pulse = Pulse(self.hub, PING, idle_hours, self._end, self._hear, self._cursor)

    def _hear(self, *given: Any) -> None:
        self.alive += given

    def _end(self, session: Any, reason: CloseReason) -> None:
        self.ended.append((session, reason))
        session.state = State.CLOSED

    @staticmethod
    def _cursor() -> Event:
        return Event("cursor", b"{}", USER, 0, logged=False)

    def come(self, **more: Any) -> Any:
        session = session_of(1, owner=self.hub, **more)
        self.hub.enter(session)
        return session


@pytest.fixture
def ward() -> Ward:
    return Ward()


def handed(session: Any, seq: int) -> None:
    session.push(Event("message", b"{}", CONVERSATION, 7, change=seq, seq=seq))


def test_who_was_heard_of_lately_is_left_alone(ward: Ward) -> None:
    session = ward.come(now=T)
    ward.pulse.look(T + PING)
    assert session.carrier.pings == 0
    assert ward.ended == []


def test_the_quiet_are_pinged_once_and_let_go_when_they_stay_silent(ward: Ward) -> None:
    session = ward.come(now=T)
    for second in range(1, PING + int(ANSWER) + 1):
        ward.pulse.look(T + second)
        assert ward.ended == []
    assert session.carrier.pings == 1
    ward.pulse.look(T + PING + ANSWER + 0.5)
    assert ward.ended == [(session, CloseReason.LOST)]


def test_a_sign_of_life_begins_the_silence_anew(ward: Ward) -> None:
    session = ward.come(now=T)
    ward.pulse.look(T + PING + 1.0)
    session.heard = session.commanded = T + PING + 2.0
    ward.pulse.look(T + PING + ANSWER + 5.0)
    assert ward.ended == []
    assert session.carrier.pings == 1
    ward.pulse.look(T + 2 * PING + 3.0)
    assert session.carrier.pings == 2


def test_what_was_handed_over_is_proved_by_one_ping_behind_a_cursor(ward: Ward) -> None:
    session = ward.come(now=T)
    handed(session, 3)
    handed(session, 4)
    ward.pulse.look(T + 1.0)
    assert session.carrier.names() == ["message", "message", "cursor"]
    assert session.carrier.pings == 1
    assert (session.proof, session.sent) == ({7: 4}, None)


def test_what_comes_while_a_proof_is_awaited_waits_for_the_next(ward: Ward) -> None:
    session = ward.come(now=T)
    handed(session, 3)
    ward.pulse.look(T + 1.0)
    handed(session, 4)
    ward.pulse.look(T + 2.0)
    assert session.carrier.pings == 1
    session.proof, session.heard = None, T + 2.5
    ward.pulse.look(T + 3.0)
    assert session.carrier.pings == 2
    assert session.proof == {7: 4}


def test_who_does_not_prove_in_time_is_let_go_even_if_something_is_heard(ward: Ward) -> None:
    session = ward.come(now=T)
    handed(session, 3)
    ward.pulse.look(T + 1.0)
    for second in range(2, int(UNPROVED) + 2):
        session.heard = T + second
        ward.pulse.look(T + second)
    assert ward.ended == []
    ward.pulse.look(T + 1.0 + UNPROVED + 0.5)
    assert ward.ended == [(session, CloseReason.LOST)]


def test_the_idle_are_ended_after_a_day_without_a_command_and_never_where_the_setting_says_so(ward: Ward) -> None:
    lasting = Ward(idle_hours=0)
    for one in (ward, lasting):
        session = one.come(now=T)
        session.heard = T + HOURS * 3_600.0
        one.pulse.look(T + HOURS * 3_600.0 + 1.0)
    assert [reason for _, reason in ward.ended] == [CloseReason.IDLE]
    assert lasting.ended == []


def test_a_carrier_is_asked_to_look_for_itself_while_a_ping_is_not_answered(ward: Ward) -> None:
    session = ward.come(now=T)
    ward.pulse.look(T + PING + 1.0)
    assert session.carrier.looks == 0
    ward.pulse.look(T + PING + 2.0)
    assert session.carrier.looks == 1
    session.heard = T + PING + 2.5
    ward.pulse.look(T + PING + 3.0)
    assert session.carrier.looks == 1


def test_a_session_that_still_catches_up_is_asked_for_no_proof_of_live_events(ward: Ward) -> None:
    session = ward.come(now=T)
    session.state = State.CATCHING
    session.sent = {7: 3}
    ward.pulse.look(T + 1.0)
    assert session.carrier.pings == 0
    assert session.sent == {7: 3}


def test_a_carrier_that_cannot_prove_is_neither_pinged_nor_let_go(ward: Ward) -> None:
    session = ward.come(now=T, provable=False)
    handed(session, 3)
    ward.pulse.look(T + 1_000.0)
    assert session.carrier.pings == 0
    assert ward.ended == []
    assert session.sent is None  # nothing is remembered for ever of a poll that does not come back


def test_all_are_told_where_they_stand_by_the_same_event(ward: Ward) -> None:
    sessions = [ward.come(now=T) for _ in range(3)]
    for session in sessions:
        handed(session, 1)
    ward.pulse.look(T + 1.0)
    assert len({id(session.carrier.events[-1]) for session in sessions}) == 1
    assert all(session.carrier.flushes for session in sessions)
