"""The unit of work of every command but `message.send`: change, commit, then tell, then enqueue.

Services get a `Transaction` and leave commit and telling to it: events and tasks given to `emit` and `enqueue` go out
after the commit, and not at all after a rollback. A conversation's row is locked last, right before the commit,
because the writer waits for it; lock order is conversations by id, then memberships by (conversation, user).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chat.errors import ChatError
from chat.frames import Event

__all__ = ["Head", "Transaction", "run_in_transaction"]

T = TypeVar("T")
ATTEMPTS = 4
# Serialization failure, deadlock, lock not available: nothing was done, another try may pass.
AGAIN = {"40001", "40P01", "55P03"}


class Teller(Protocol):
    """What a process is to a unit of work: its settings, and what happens after the commit."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Every setting by name."""

    def tell(self, events: list[Event]) -> None:
        """Deliver committed events here and publish them to the other processes."""

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        """Hand a task to the queue, by name."""


class Head(NamedTuple):
    """A conversation's numbers, read under its lock."""

    last_seq: int
    last_count: int
    change: int
    members_version: int
    member_count: int
    last_at: datetime


class Transaction:
    """One open transaction, ending with the command. `config`: the settings, for rules with a limit."""

    def __init__(self, connection: Connection, config: Mapping[str, Any]):
        self.connection = connection
        self.config = config
        self.events: list[Event] = []
        self.tasks: list[tuple[str, tuple[Any, ...]]] = []

    def execute(
        self, statement: Executable | str, values: Mapping[str, Any] | list[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement: SQLAlchemy's own, or text with named parameters (`:name`)."""
        return self.connection.execute(text(statement) if isinstance(statement, str) else statement, values)

    def lock_conversation(self, conversation_id: int) -> Head:
        """Lock a conversation's row until the commit, which should follow at once.

        Raises ChatError not_a_member if there is none.
        """
        row = self.execute(LOCK, {"id": conversation_id}).first()
        if row is None:
            raise ChatError("not_a_member")
        return Head._make(row)

    def emit(self, event: Event) -> None:
        """Tell this once, and only if, the transaction is committed."""
        self.events.append(event)

    def enqueue(self, task: str, *arguments: Any) -> None:
        """Hand a task to Celery, by name, once and only if the transaction is committed."""
        self.tasks.append((task, arguments))


LOCK = """
SELECT last_seq, last_count, change, members_version, member_count, last_at
FROM conversation_heads WHERE conversation_id = :id FOR UPDATE
"""


@contextmanager
def _opened(engine: Engine, config: Mapping[str, Any]) -> Iterator[Transaction]:
    with engine.begin() as connection:
        yield Transaction(connection, config)


def run_in_transaction(engine: Engine, teller: Teller, work: Callable[[Transaction], T]) -> T:
    """Run `work` in a transaction, commit, then tell and enqueue. Tries again when the database asks for it.

    Raises what `work` raises (rolled back), or ChatError: `unavailable` when it is not known whether the commit
    happened, `overloaded` when certainly nothing was done: no connection, or the same lock not to be had every time.
    """
    for _ in range(ATTEMPTS):
        worked = False  # the rest is the commit
        try:
            with _opened(engine, teller.config) as tx:
                result = work(tx)
                worked = True
        except PoolTimeoutError as error:
            raise ChatError("overloaded", retry_after=1) from error
        except DBAPIError as error:
            # A connection that died in the pool, with the database it was to, shows at the first statement only.
            if getattr(error.orig, "sqlstate", None) in AGAIN or (error.connection_invalidated and not worked):
                continue
            raise _as_chat_error(error, worked=worked) from error
        teller.tell(tx.events)
        for task, arguments in tx.tasks:
            teller.enqueue(task, arguments)
        return result
    raise ChatError("overloaded", retry_after=1)


def _as_chat_error(error: DBAPIError, *, worked: bool) -> Exception:
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return ChatError("unavailable" if worked else "overloaded", retry_after=2)
    return error
