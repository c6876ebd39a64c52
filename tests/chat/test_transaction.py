"""A unit of work: what is told was committed, what was not committed is not told, and the answer says which it was."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import ProgrammingError

from chat.errors import ChatError
from chat.frames import USER, Caller, Event
from chat.transaction import ATTEMPTS, Transaction, run_in_transaction
from tests.chat.processes import DEADLINE
from tests.chat.world import World


class Desk:
    """A process as a unit of work sees it: notes what it is told in order, and who is in the database by then."""

    def __init__(self, world: World):
        self.config = {"GROUP_MEMBERS": 7}
        self.world = world
        self.ann = world.person()
        self.notes: list[Any] = []

    def tell(self, events: list[Event]) -> None:
        self.notes.append(([event.name for event in events], self.name))

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        self.notes.append((task, arguments))

    @property
    def name(self) -> str:
        """Ann's name, as everybody else sees it."""
        found: str = self.world.rows("SELECT name FROM users WHERE id = :id", id=self.ann.user_id)[0][0]
        return found

    def rename(self, tx: Transaction, name: str = "Anna") -> str:
        tx.enqueue("avatars.draw", self.ann.user_id, name)
        tx.emit(Event("user", b"{}", USER, self.ann.user_id))
        tx.execute("UPDATE users SET name = :name WHERE id = :id", {"name": name, "id": self.ann.user_id})
        return name

    def run(self, work: Callable[[Transaction], Any], engine: Engine | None = None) -> Any:
        return run_in_transaction(engine or self.world.engine, self, work)

    def refused(self, work: Callable[[Transaction], Any], engine: Engine | None = None) -> str:
        """Run what is answered with a ChatError; return its code."""
        with pytest.raises(ChatError) as caught:
            self.run(work, engine)
        return caught.value.code.name


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def holder(engine: Engine) -> Iterator[Connection]:
    """Another connection, whose transaction ends with the test at the latest."""
    with engine.connect() as connection:
        yield connection


def hold(connection: Connection, person: Caller) -> None:
    connection.execute(text("SELECT 1 FROM users WHERE id = :id FOR UPDATE"), {"id": person.user_id})


def test_what_is_told_is_committed_and_tasks_follow(desk: Desk) -> None:
    assert desk.run(desk.rename) == "Anna"
    assert desk.notes == [(["user"], "Anna"), ("avatars.draw", (desk.ann.user_id, "Anna"))]


def test_the_settings_are_at_hand(desk: Desk) -> None:
    assert desk.run(lambda tx: tx.config["GROUP_MEMBERS"]) == 7


@pytest.mark.parametrize("error", [ChatError("forbidden"), LookupError("a mistake")])
def test_after_a_rollback_nothing_is_told_and_the_error_comes_through(desk: Desk, error: Exception) -> None:
    def work(tx: Transaction) -> None:
        desk.rename(tx)
        raise error

    with pytest.raises(type(error)) as caught:
        desk.run(work)
    assert caught.value is error
    assert (desk.notes, desk.name) == ([], "Ann")


def test_a_statement_that_is_wrong_is_no_lost_connection(desk: Desk) -> None:
    with pytest.raises(ProgrammingError):
        desk.run(lambda tx: tx.execute("SELECT nothing_of_the_kind"))
    assert desk.notes == []


def test_a_lock_that_is_not_to_be_had_is_asked_for_again(desk: Desk, holder: Connection) -> None:
    tries = []

    def work(tx: Transaction) -> str:
        tries.append(1)
        if len(tries) == 3:
            holder.rollback()
        tx.execute("SET LOCAL lock_timeout = 20")
        return desk.rename(tx)

    hold(holder, desk.ann)
    assert desk.run(work) == "Anna"
    assert len(tries) == 3
    assert desk.notes == [(["user"], "Anna"), ("avatars.draw", (desk.ann.user_id, "Anna"))], "of the last try only"


def test_who_is_taken_out_of_a_deadlock_tries_again(world: World) -> None:
    desks, met, tries = (Desk(world), Desk(world)), Barrier(2), Counter[Desk]()

    def cross(mine: Desk, other: Desk) -> None:
        def work(tx: Transaction) -> None:
            tries[mine] += 1
            if tries[mine] > 1:  # whoever was taken out lets the other one go first
                hold(tx.connection, other.ann)
            mine.rename(tx)
            if tries[mine] == 1:
                met.wait(DEADLINE)
                hold(tx.connection, other.ann)

        mine.run(work)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(cross, *desks), pool.submit(cross, *desks[::-1])]:
            done.result()
    assert sorted(tries.values()) == [1, 2]
    assert [desk.notes[0] for desk in desks] == [(["user"], "Anna")] * 2


def test_a_lock_that_is_never_to_be_had_is_known_to_have_changed_nothing(desk: Desk, holder: Connection) -> None:
    tries = []

    def work(tx: Transaction) -> None:
        tries.append(1)
        tx.execute("SET LOCAL lock_timeout = 20")
        desk.rename(tx)

    hold(holder, desk.ann)
    assert desk.refused(work) == "overloaded"
    assert (len(tries), desk.notes) == (ATTEMPTS, [])


def end(desk: Desk, tx: Transaction) -> None:
    """End the connection of a transaction behind its back."""
    pid = tx.execute("SELECT pg_backend_pid()").scalar_one()
    assert desk.world.rows("SELECT pg_terminate_backend(:pid, 30000)", pid=pid) == [(True,)]


def test_work_whose_connection_is_lost_is_done_again_over_another(desk: Desk) -> None:
    tries = []

    def work(tx: Transaction) -> str:
        tries.append(1)
        if len(tries) == 1:
            end(desk, tx)
        return desk.rename(tx)

    own = create_engine(desk.world.engine.url)
    assert desk.run(work, own) == "Anna"
    own.dispose()
    assert len(tries) == 2
    assert desk.notes == [(["user"], "Anna"), ("avatars.draw", (desk.ann.user_id, "Anna"))], "of the last try only"


def test_a_connection_that_is_lost_at_the_commit_leaves_open_whether_it_was_done(desk: Desk) -> None:
    def work(tx: Transaction) -> None:
        desk.rename(tx)
        end(desk, tx)

    own = create_engine(desk.world.engine.url)
    assert desk.refused(work, own) == "unavailable"
    assert desk.notes == []
    assert desk.run(desk.rename, own) == "Anna", "the next one gets a new connection"
    own.dispose()


def test_a_full_pool_is_overload_at_once_and_the_work_is_not_begun(desk: Desk) -> None:
    small = create_engine(desk.world.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with small.connect():
        assert desk.refused(lambda tx: pytest.fail("there is no connection"), small) == "overloaded"
    assert desk.run(desk.rename, small) == "Anna"
    small.dispose()


def test_a_database_that_is_away_is_known_to_have_done_nothing(desk: Desk) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = create_engine(f"postgresql+psycopg://x@127.0.0.1:{nobody.getsockname()[1]}/x")
        assert desk.refused(lambda tx: pytest.fail("there is no database"), away) == "overloaded"
    assert desk.notes == []


def test_a_conversation_that_does_not_exist_has_no_members(desk: Desk) -> None:
    assert desk.refused(lambda tx: tx.lock_conversation(2**62)) == "not_a_member"


def test_the_head_of_a_conversation_is_read_under_its_lock(desk: Desk, holder: Connection) -> None:
    group = desk.world.group(desk.ann)
    number = desk.world.number(group)
    seq = desk.world.send(group, desk.ann)

    def work(tx: Transaction) -> Any:
        head = tx.lock_conversation(number)
        taken = holder.execute(
            text("SELECT 1 FROM conversation_heads WHERE conversation_id = :id FOR UPDATE SKIP LOCKED"), {"id": number}
        ).first()
        assert taken is None, "somebody else could lock it, too"
        return head

    head = desk.run(work)
    assert (head.last_seq, head.member_count) == (seq, 1)
