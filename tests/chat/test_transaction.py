"""The unit of work: change, commit, then tell, then enqueue; and what is known when the database fails."""

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.event import listen
from sqlalchemy.exc import ProgrammingError

from chat import transaction as transaction_module
from chat.errors import ChatError
from chat.frames import USER, Event
from chat.transaction import Transaction, run_in_transaction
from tests.chat.world import World


class Office:
    """Takes what is told and enqueued, in order."""

    config: dict[str, Any] = {}

    def __init__(self) -> None:
        self.said: list[Any] = []

    def tell(self, events: list[Event]) -> None:
        self.said.append([event.name for event in events])

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        self.said.append((task, arguments))


@pytest.fixture
def office() -> Office:
    return Office()


def event(name: str) -> Event:
    return Event(name, b"{}", USER, 1)


def named(tx: Transaction, number: int) -> str:
    return str(tx.execute("SELECT name FROM users WHERE id = :id", {"id": number}).scalar_one())


def test_it_tells_and_enqueues_after_the_commit_in_this_order(engine: Engine, world: World, office: Office) -> None:
    ann = world.person()

    def work(tx: Transaction) -> str:
        tx.enqueue("task", 1, 2)
        tx.emit(event("first"))
        tx.execute("UPDATE users SET name = 'Anna' WHERE id = :id", {"id": ann.user_id})
        tx.emit(event("second"))
        assert office.said == []
        return "result"

    assert run_in_transaction(engine, office, work) == "result"
    assert office.said == [["first", "second"], ("task", (1, 2))]
    assert world.do(named, ann.user_id) == "Anna"


def test_after_a_refusal_nothing_has_happened_and_nothing_is_told(engine: Engine, world: World, office: Office) -> None:
    ann = world.person()

    def work(tx: Transaction) -> None:
        tx.execute("UPDATE users SET name = 'Anna' WHERE id = :id", {"id": ann.user_id})
        tx.emit(event("told"))
        raise ChatError("group_full")

    with pytest.raises(ChatError, match="group_full"):
        run_in_transaction(engine, office, work)
    assert office.said == []
    assert world.do(named, ann.user_id) == "Ann"


def test_what_the_database_asks_to_try_again_is_tried_again_from_the_start(engine: Engine, office: Office) -> None:
    tries: list[Transaction] = []

    def work(tx: Transaction) -> int:
        tries.append(tx)
        tx.emit(event(f"try {len(tries)}"))
        if len(tries) < 3:
            tx.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
        return len(tries)

    assert run_in_transaction(engine, office, work) == 3
    assert office.said == [["try 3"]]


def test_a_lock_that_is_never_to_be_had_is_overloaded_and_nothing_was_done(engine: Engine, office: Office) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(1)
        tx.execute("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$")

    with pytest.raises(ChatError, match="overloaded"):
        run_in_transaction(engine, office, work)
    assert len(tries) == transaction_module.ATTEMPTS
    assert office.said == []


def kill(engine: Engine, pid: int) -> None:
    with engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 1000)"), {"pid": pid})


def test_a_connection_that_died_before_the_commit_is_no_reason_to_give_up(engine: Engine, office: Office) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> int:
        tries.append(tx.execute("SELECT pg_backend_pid()").scalar_one())
        if len(tries) == 1:
            kill(engine, tries[0])
        return int(tx.execute("SELECT 1").scalar_one())

    assert run_in_transaction(engine, office, work) == 1
    assert len(tries) == 2


def test_a_connection_that_died_in_the_commit_leaves_it_unknown(
    database_url: str, engine: Engine, office: Office
) -> None:
    fragile = create_engine(database_url)
    pids: list[int] = []
    listen(fragile, "commit", lambda connection: kill(engine, pids[0]))
    with pytest.raises(ChatError) as refused:
        run_in_transaction(fragile, office, lambda tx: pids.append(tx.execute("SELECT pg_backend_pid()").scalar_one()))
    assert refused.value.code.name == "unavailable"
    assert refused.value.retry_after
    assert office.said == []
    fragile.dispose()


def test_a_database_that_is_not_there_is_overloaded(office: Office) -> None:
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(ChatError, match="overloaded"):
        run_in_transaction(nowhere, office, lambda tx: None)


def test_a_full_pool_is_overloaded(engine: Engine, office: Office, database_url: str) -> None:
    small = create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with small.connect(), pytest.raises(ChatError, match="overloaded"):
        run_in_transaction(small, office, lambda tx: None)
    small.dispose()


def test_a_fault_of_ours_stays_one(engine: Engine, office: Office) -> None:
    with pytest.raises(ProgrammingError):
        run_in_transaction(engine, office, lambda tx: tx.execute("SELECT nonsense"))
    assert office.said == []


def test_a_conversations_row_is_locked_and_read(engine: Engine, world: World, office: Office) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.number(world.group(ann, bob))

    def work(tx: Transaction) -> Any:
        head = tx.lock_conversation(club)
        with engine.connect() as other:
            free = "SELECT count(*) FROM (SELECT 1 FROM conversation_heads WHERE conversation_id = :id FOR UPDATE SKIP LOCKED) f"  # noqa: E501
            return head, other.execute(text(free), {"id": club}).scalar_one()

    head, free = run_in_transaction(engine, office, work)
    assert (head.member_count, free) == (2, 0)


def test_a_conversation_that_is_not_there_is_nobodys(engine: Engine, office: Office) -> None:
    with pytest.raises(ChatError, match="not_a_member"):
        run_in_transaction(engine, office, lambda tx: tx.lock_conversation(2**50))
