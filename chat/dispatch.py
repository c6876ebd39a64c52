"""The commands of sessions: in which order they run, and what answers them.

Commands of one connection take effect in the order in which they came, and a read sees the writes before it: a
message for the conversation whose messages are with the writer follows them there at once; everything else waits
until the writer has answered, and then runs in a pool of greenlets, one command of a session at a time.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import orjson
from gevent.queue import SimpleQueue

from chat.commands import verbs
from chat.errors import ChatError, CloseReason
from chat.frames import Caller, Command
from chat.hub import Hub
from chat.limits import TokenBucket
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.sending import Sending
from chat.session import UNANSWERED, Session, State
from chat.writer import Writer

__all__ = ["POOL", "Dispatch"]

logger = logging.getLogger(__name__)
POOL = 16  # greenlets that run commands which may wait; three for each pooled database connection
CALM = 16  # at which it is read again
PATIENCE = 10  # times as much as is allowed may be refused: a client that asks again too soon is no flooder
SEND = "message.send"


class Dispatch:
    """Takes commands from carriers. `execute(caller, command)` runs any but `message.send` and may wait."""

    def __init__(
        self,
        hub: Hub,
        writer: Writer,
        sending: Sending,
        execute: Callable[[Caller, Command], Any],
        flood: Callable[[Caller], float],
        bucket: Callable[[], TokenBucket],
        end: Callable[[Session, CloseReason], None],
    ):
        self._hub, self._writer, self._sending = hub, writer, sending
        self._execute, self._flood, self._bucket, self._end = execute, flood, bucket, end
        self._waiting: SimpleQueue[Session] = SimpleQueue()
        self.refusals: Counter[str] = Counter()  # by code, for whoever measures
        self.loops = {f"commands {place}": self._run for place in range(POOL)}

    def take(self, session: Session, command: Command) -> None:
        """Take a command; it is answered through the session's carrier. Never waits; the caller flushes the hub."""
        if session.state is State.CLOSED:
            return
        verb = verbs().get(command.op)
        wait = self.allow(session, verb.cost if verb is not None else 1.0)
        if wait:
            self.refuse(session, command.id, ChatError("rate_limited", retry_after=wait))
            return
        if not self._sent_at_once(session, command):
            if session.commands is None:
                session.commands = deque()
            session.commands.append(command)
            self.wake(session)
        if session.unanswered >= UNANSWERED:
            session.paused = True
            session.carrier.pause()

    def allow(self, session: Session, cost: float = 1.0) -> float:
        """Take what a client's frame costs; return 0, or the seconds to wait.

        A client that goes on sending what is refused is ended: refusing costs hardly less than doing.
        """
        if session.bucket is None:
            session.bucket, session.patience = self._bucket(), self._bucket()
        wait: float = session.bucket.take(cost, session.heard)
        if wait and session.patience.take(cost / PATIENCE, session.heard):
            self._end(session, CloseReason.FLOODING)
        return wait

    def refuse(self, session: Session, number: Any, error: ChatError) -> None:
        """Answer with a refusal, unless the session has ended."""
        if session.state is not State.CLOSED:
            session.carrier.failure(number, error)

    def wake(self, session: Session) -> None:
        """Let a session's waiting commands run if it is their turn."""
        if session.state is State.CLOSED and session.commands:
            session.commands.clear()  # nobody is left to answer; woken again and again, it would hold up everybody
        if session.commands and not session.busy and not session.pending and session.state is not State.OPENING:
            session.busy = True
            self._waiting.put(session)

    def _sent_at_once(self, session: Session, command: Command) -> bool:
        """Give a message to the writer without a detour, if its turn has come and nothing about it has to wait."""
        if command.op != SEND or session.busy or session.commands or session.state is State.OPENING:
            return False
        return (
            self._follows(session, command)
            and self._sending.address_known(command.data)
            and self._send(session, command)
        )

    def _follows(self, session: Session, command: Command) -> bool:
        """Tell whether a command may run now: nothing is with the writer, or messages of the same conversation are."""
        return not session.pending or (command.op == SEND and session.pending_conversation == _place(command))

    def _send(self, session: Session, command: Command) -> bool:
        """Give a message to the writer, or answer why not. False: the answer's turn has not come yet."""

        def done(answer: Sent | ChatError) -> None:
            session.pending -= 1
            self._answer(session, command.id, answer)

        named = bool(command.data.get("localId"))
        try:
            message = self._sending.compose(session.caller, command.data, done)
            if session.pending and named and self._writer.has(message):
                return False  # a copy is answered with the first, which is ahead of what came in between
            self.check_flood(session.caller, message, named)
        except ChatError as error:
            if session.pending:
                return False
            self._answer(session, command.id, error)
            return True
        session.pending += 1
        session.pending_conversation = _place(command)
        try:
            self._writer.submit(message)
        except ChatError as error:
            done(error)
        return True

    def check_flood(self, caller: Caller, message: Outgoing, named: bool) -> None:
        """Refuse a flooder's message; but a resend of one that is stored (`named`) gets its answer all the same.

        Raises ChatError rate_limited.
        """
        wait = self._flood(caller)
        if wait:
            message.refusal = ChatError("rate_limited", retry_after=wait)
            if not named:
                raise message.refusal
            message.ask_only = True

    def _answer(self, session: Session, number: Any, answer: Any) -> None:
        if isinstance(answer, ChatError):
            self.refusals[answer.code.name] += 1
        if session.state is not State.CLOSED and number is not None:
            if isinstance(answer, ChatError):
                session.carrier.failure(number, answer)
            else:
                session.carrier.reply(number, answer.data if isinstance(answer, Sent) else orjson.dumps(answer))
        if session.paused and session.unanswered <= CALM:
            session.paused = False
            session.carrier.resume()
        if session.commands:
            self.wake(session)

    def _run(self) -> None:
        while True:
            session = self._waiting.get()
            try:
                self._work_off(session)
            finally:
                session.busy = False
                self.wake(session)
                self._hub.flush()

    def _work_off(self, session: Session) -> None:
        while session.commands and session.state is not State.CLOSED and self._follows(session, session.commands[0]):
            command = session.commands.popleft()
            if command.op != SEND:
                self._answer(session, command.id, self._outcome(session, command))
                self._hub.flush()
            elif not self._send(session, command):
                session.commands.appendleft(command)
                return

    def _outcome(self, session: Session, command: Command) -> Any:
        try:
            return self._execute(session.caller, command)
        except ChatError as error:
            return error
        except Exception:
            logger.exception("%s failed on our side", command.op)
            return ChatError("internal")


def _place(command: Command) -> tuple[Any, Any]:
    return (command.data.get("conversationId"), command.data.get("toUser"))
