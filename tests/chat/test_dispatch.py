"""The order of a connection's commands: effects and answers come as the commands came, and a read sees the writes."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest

from chat.dispatch import CALM, PATIENCE, UNANSWERED, Dispatch
from chat.errors import ChatError, CloseReason
from chat.frames import Caller, Command
from chat.hub import Hub
from chat.limits import TokenBucket
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.sending import Sending
from chat.session import Session, State
from tests.chat.carrier import session_of
from tests.chat.test_sending import Known
from tests.chat.world import DEFAULTS


class Writer:
    """Takes messages and answers them when the test says so."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.full = False

    def submit(self, message: Outgoing) -> None:
        if self.full:
            raise ChatError("overloaded", retry_after=1)
        self.messages.append(message)

    def has(self, message: Outgoing) -> bool:
        return any(other.local_id == message.local_id for other in self.messages)

    def answer(self, count: int = 1_000) -> None:
        for message in self.messages[:count]:
            self.messages.remove(message)
            message.done(Sent(message.content.encode(), known=False))


class Desk:
    """A dispatch; `did` is what took effect, in order, `slow` lets the next verb wait until it is cleared."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.did: list[str] = []
        self.gates: list[Any] = []
        self.flooding = 0.0
        self.rate = 0.0
        self.verb: Callable[[Caller, Command], Any] = self._note
        self.dispatch = Dispatch(
            Hub(print, print), self.writer, Sending(Known(), DEFAULTS), lambda *given: self.verb(*given),  # type: ignore[arg-type]  # noqa: PLW0108
            lambda caller: self.flooding, lambda: TokenBucket(self.rate, 5), self._end,
        )  # fmt: skip
        self.greenlets = [gevent.spawn(loop) for loop in self.dispatch.loops.values()]
        self.session: Session = session_of(7)

    def _end(self, session: Session, reason: CloseReason) -> None:
        session.state = State.CLOSED
        session.carrier.close(reason, None)

    def _note(self, caller: Caller, command: Command) -> Any:
        gevent.sleep(0)
        self.did.append(command.data["name"])
        return command.data["name"]

    def take(self, *commands: Command) -> None:
        for command in commands:
            self.dispatch.take(self.session, command)

    @property
    def answers(self) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = self.session.carrier.answers  # type: ignore[attr-defined]
        return found


def settle() -> None:
    """Wait until every greenlet waits for something."""
    gevent.idle()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    settle()
    yield made
    gevent.killall(made.greenlets)


def send(number: Any, content: str, to: str = "bob", **more: Any) -> Command:
    return Command("message.send", number, {"toUser": to, "content": content, **more})


def read(number: Any, name: str) -> Command:
    return Command("ping", number, {"name": name})


def test_a_message_goes_to_the_writer_at_once_and_is_answered_when_it_is_stored(desk: Desk) -> None:
    desk.take(send(1, "a"))
    assert [message.content for message in desk.writer.messages] == ["a"]
    assert desk.answers == []
    desk.writer.answer()
    assert desk.answers == [(1, b"a")]


def test_messages_of_one_conversation_follow_each_other_to_the_writer_without_waiting(desk: Desk) -> None:
    desk.take(*(send(number, str(number)) for number in range(3)))
    assert len(desk.writer.messages) == 3


def test_a_message_for_another_conversation_waits_for_the_answers_to_those_before(desk: Desk) -> None:
    desk.take(send(1, "a"), send(2, "b", to="42"), send(3, "c"))
    settle()
    assert [message.content for message in desk.writer.messages] == ["a"]
    desk.writer.answer()
    settle()
    assert [message.content for message in desk.writer.messages] == ["b"]
    desk.writer.answer()
    settle()
    desk.writer.answer()
    assert desk.answers == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_a_read_sees_the_writes_before_it_and_a_write_waits_for_the_read(desk: Desk) -> None:
    desk.take(send(1, "a"), read(2, "read"), send(3, "b"))
    settle()
    assert desk.did == []
    desk.writer.answer()
    settle()
    assert desk.did == ["read"]
    assert [message.content for message in desk.writer.messages] == ["b"]
    desk.writer.answer()
    assert [number for number, _ in desk.answers] == [1, 2, 3]


def test_verbs_of_a_session_run_one_after_another_those_of_others_meanwhile(desk: Desk) -> None:
    first, other = desk.session, session_of(9)
    waits = gevent.event.Event()

    def slow(caller: Caller, command: Command) -> Any:
        if caller.user_id == 7:
            waits.wait()
        desk.did.append(command.data["name"])
        return {}

    desk.verb = slow
    desk.take(read(1, "a"), read(2, "b"))
    desk.dispatch.take(other, read(1, "other"))
    settle()
    assert desk.did == ["other"]
    waits.set()
    settle()
    assert desk.did == ["other", "a", "b"]
    assert [number for number, _ in first.carrier.answers] == [1, 2]  # type: ignore[attr-defined]


def test_a_refusal_does_not_overtake_the_answers_before_it(desk: Desk) -> None:
    desk.take(send(1, "a"), send(2, " "), send(3, "b"))
    settle()
    assert desk.answers == []
    desk.writer.answer()
    settle()
    desk.writer.answer()
    assert desk.answers == [(1, b"a"), (2, "empty_content"), (3, b"b")]


def test_a_copy_is_not_answered_before_what_came_in_between(desk: Desk) -> None:
    desk.take(send(1, "a", localId="same"), send(2, "b"), send(3, "a", localId="same"))
    assert [message.content for message in desk.writer.messages] == ["a", "b"]
    desk.writer.answer()
    settle()
    desk.writer.answer()
    assert [number for number, _ in desk.answers] == [1, 2, 3]


def test_a_command_without_a_number_is_done_and_not_answered(desk: Desk) -> None:
    desk.take(send(None, "a"), read(None, "read"), send(None, " "))
    desk.writer.answer()
    settle()
    assert desk.did == ["read"]
    assert desk.answers == []
    assert not desk.session.unanswered


def test_unknown_verbs_and_faults_of_ours_are_answered_and_the_session_goes_on(desk: Desk) -> None:
    def broken(caller: Caller, command: Command) -> Any:
        raise ChatError("unknown_verb") if command.op == "nonsense" else RuntimeError("ours")

    desk.verb = broken
    desk.take(Command("nonsense", 1, {}), read(2, "x"))
    settle()
    desk.verb = lambda caller, command: {"fine": 1}
    desk.take(read(3, "x"))
    settle()
    assert desk.answers == [(1, "unknown_verb"), (2, "internal"), (3, orjson.dumps({"fine": 1}))]


def test_nothing_runs_while_the_session_opens_and_everything_when_it_has(desk: Desk) -> None:
    desk.session.state = State.OPENING
    desk.take(send(1, "a"), read(2, "read"))
    settle()
    assert desk.writer.messages == []
    desk.session.state = State.LIVE
    desk.dispatch.wake(desk.session)
    settle()
    desk.writer.answer()
    settle()
    assert [number for number, _ in desk.answers] == [1, 2]


def test_nothing_more_is_done_for_a_session_that_has_ended(desk: Desk) -> None:
    desk.take(send(1, "a"), read(2, "read"))
    desk.session.state = State.CLOSED
    desk.writer.answer()
    settle()
    desk.take(read(3, "late"))
    settle()
    assert desk.did == []
    assert desk.answers == []


def test_at_32_unanswered_commands_a_connection_is_no_longer_read_until_16_are_left(desk: Desk) -> None:
    carrier: Any = desk.session.carrier
    for number in range(UNANSWERED):
        assert not carrier.paused
        desk.take(send(number, str(number)))
    assert carrier.paused
    desk.writer.answer(UNANSWERED - CALM - 1)
    assert carrier.paused
    desk.writer.answer(1)
    assert not carrier.paused


def test_commands_that_wait_count_as_unanswered_too(desk: Desk) -> None:
    carrier: Any = desk.session.carrier
    desk.take(*(read(number, str(number)) for number in range(UNANSWERED)))
    assert carrier.paused
    settle()
    assert not carrier.paused
    assert len(desk.answers) == UNANSWERED


def test_a_connection_beyond_its_rate_is_told_to_wait(desk: Desk) -> None:
    desk.rate = 1.0
    desk.take(*(read(number, str(number)) for number in range(7)))
    settle()
    refused = [number for number, answer in desk.answers if answer == "rate_limited"]
    assert refused == [5, 6]


def test_who_goes_on_sending_what_is_refused_is_ended(desk: Desk) -> None:
    carrier: Any = desk.session.carrier
    desk.rate = 1.0
    desk.take(*(read(number, str(number)) for number in range(5 * (1 + PATIENCE))))
    settle()
    assert carrier.closed is None
    desk.take(read(99, "too much"), read(100, "nobody listens"))
    assert carrier.closed == (CloseReason.FLOODING, None)
    assert [number for number, answer in desk.answers if answer == "rate_limited"] == list(range(5, 55))


def test_frames_that_are_no_commands_cost_as_much(desk: Desk) -> None:
    desk.rate = 1.0
    assert [desk.dispatch.allow(desk.session) > 0 for _ in range(7)] == [False] * 5 + [True] * 2


def test_a_flooders_message_is_refused_but_a_named_one_is_asked_for(desk: Desk) -> None:
    desk.flooding = 0.5
    desk.take(send(1, "a"), send(2, "b", localId="named"))
    assert desk.answers == [(1, "rate_limited")]
    (message,) = desk.writer.messages
    assert message.ask_only
    assert message.refusal is not None
    assert message.refusal.retry_after == 0.5


def test_a_full_writer_is_told_at_once_and_the_session_is_as_before(desk: Desk) -> None:
    desk.writer.full = True
    desk.take(send(1, "a"))
    assert desk.answers == [(1, "overloaded")]
    assert not desk.session.unanswered
    desk.writer.full = False
    desk.take(send(2, "b"))
    desk.writer.answer()
    assert desk.answers[1:] == [(2, b"b")]


def test_who_has_to_be_asked_for_is_asked_for_elsewhere_and_the_order_stays(desk: Desk) -> None:
    desk.take(send(1, "a", to="stranger"), send(2, "b"))
    assert desk.writer.messages == []
    settle()
    desk.writer.answer()
    assert desk.answers == [(1, "unknown_user"), (2, b"b")]
