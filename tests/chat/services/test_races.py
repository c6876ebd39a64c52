"""What happens at once: of a kick and a send, or a join and a send, one is before the other, for everybody alike.

Two real connections; where one waits for the other, the database is asked whether it does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import orjson
import pytest

from chat.errors import ChatError
from chat.frames import Caller
from chat.services import conversations, members, roles
from chat.transaction import Transaction
from tests.chat.world import World

NOT_A_MEMBER = 3
STORED = 0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait_until_blocked(world: World) -> None:
    """Return once some session of the database waits for another's lock."""
    deadline = time.monotonic() + 10
    while not world.rows(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'world'"
    ):
        assert time.monotonic() < deadline, "nobody waits for a lock"


@contextmanager
def held_open(world: World, pool: ThreadPoolExecutor, work: Callable[[Transaction], Any]) -> Iterator[Future[Any]]:
    """Do `work` in a transaction that is committed when the block ends."""
    done, go = threading.Event(), threading.Event()

    def run(tx: Transaction) -> Any:
        result = work(tx)
        done.set()
        assert go.wait(10)
        return result

    future = pool.submit(world.do, run)
    try:
        assert done.wait(10)
        yield future
    finally:
        go.set()
    future.result(10)


def seen_by(world: World, user: Caller, group: str) -> list[str]:
    return [message["content"] for message in world.page(user, group, limit=100)["messages"]]


def test_a_send_that_waits_for_a_kick_is_refused(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    with held_open(world, pool, lambda tx: members.remove(tx, ann, group, bob.public_id)):
        sending = pool.submit(world.try_to_send, group, bob, "too late")
        wait_until_blocked(world)
    assert sending.result(10)[0] == NOT_A_MEMBER
    assert seen_by(world, ann, group) == ["Ann created the group.", "Ann removed Bob."]


def test_a_kick_that_waits_for_a_send_comes_after_it(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)

    def send(tx: Transaction) -> Any:
        return world.try_to_send(group, bob, "just in time", connection=tx.connection)

    with held_open(world, pool, send) as sending:
        kicking = pool.submit(world.do, members.remove, ann, group, bob.public_id)
        wait_until_blocked(world)
    kicking.result(10)
    assert sending.result() == (STORED, 2)
    assert seen_by(world, ann, group) == ["Ann created the group.", "just in time", "Ann removed Bob."]
    ((left,),) = world.rows("SELECT left_seq FROM memberships WHERE user_id = :id", id=bob.user_id)
    assert left == 3


def test_a_send_that_waits_for_a_join_is_seen_by_the_joiner(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open")
    with held_open(world, pool, lambda tx: members.join(tx, bob, group)):
        sending = pool.submit(world.try_to_send, group, ann, "welcome")
        wait_until_blocked(world)
    assert sending.result(10) == (STORED, 3)
    assert seen_by(world, bob, group) == ["Bob joined.", "welcome"]
    assert world.unread(bob)["total"] == 1


def test_a_join_that_waits_for_a_send_does_not_see_it(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open")

    def send(tx: Transaction) -> Any:
        return world.try_to_send(group, ann, "among ourselves", connection=tx.connection)

    with held_open(world, pool, send):
        joining = pool.submit(world.join, group, bob)
        wait_until_blocked(world)
    joining.result(10)
    assert seen_by(world, bob, group) == ["Bob joined."]
    assert world.unread(bob)["total"] == 0
    assert world.do(conversations.get, bob.user_id, group).data["readSeq"] == 3


def test_the_last_place_is_given_once(world: World, pool: ThreadPoolExecutor) -> None:
    ann, *others = world.people("Ann", *["Bob"] * 6)
    small = World(world.engine, GROUP_MEMBERS=3)
    group = small.group(ann, joining="open")
    outcomes = [future.exception(20) for future in [pool.submit(small.join, group, other) for other in others]]
    assert [str(outcome).split(":")[0] for outcome in outcomes if outcome] == ["group_full"] * 4


def test_one_user_joining_from_two_devices_joins_once(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, joining="open")
    for future in [pool.submit(world.join, group, bob) for _ in range(6)]:
        future.result(20)
    assert seen_by(world, ann, group) == ["Ann created the group.", "Bob joined."]


def test_two_owners_are_never_made(world: World, pool: ThreadPoolExecutor) -> None:
    ann, *others = world.people("Ann", "Bob", "Cat", "Dan")
    group = world.group(ann, *others)
    futures = [pool.submit(world.do, roles.transfer, ann, group, other.public_id) for other in others]
    refused = [future.exception(20) for future in futures]
    assert sorted(str(error).split(":")[0] for error in refused if error) == ["forbidden", "forbidden"]
    roles_now = [
        row[0] for row in world.rows("SELECT role FROM memberships WHERE conversation_id = :id", id=world.number(group))
    ]
    assert sorted(roles_now) == ["admin", "member", "member", "owner"]


def test_sends_kicks_and_joins_in_a_crowd_leave_one_history(world: World, pool: ThreadPoolExecutor) -> None:
    ann, bob, cat, dan = world.people("Ann", "Bob", "Cat", "Dan")
    group = world.group(ann, bob, cat, dan, joining="open")

    def send(user: Caller) -> None:
        world.try_to_send(group, user)

    def leave(user: Caller) -> None:
        attempt("not_a_member", world.leave, group, user)

    def join(user: Caller) -> None:
        world.join(group, user)

    def kick(user: Caller) -> None:
        attempt("unknown_user", world.do, members.remove, ann, group, user.public_id)

    courses = [
        (ann, send),
        (bob, send),
        (cat, send),
        (dan, send),
        (bob, leave, join),
        (cat, leave, join),
        (cat, kick),
        (dan, kick),
    ]
    for future in [pool.submit(go_round, 10, *course) for course in courses]:
        future.result(60)
    check_history(world, group)


def go_round(times: int, user: Caller, *deeds: Callable[[Caller], None]) -> None:
    for _ in range(times):
        for deed in deeds:
            deed(user)


def attempt(refusal: str, work: Callable[..., Any], *arguments: Any) -> None:
    """Do something that somebody else may have made impossible in between, for this reason only."""
    try:
        work(*arguments)
    except ChatError as error:
        if error.code.name != refusal:
            raise


def check_history(world: World, group: str) -> None:
    """Numbers without a hole, times that rise, nobody writing while outside, counts as the entries say."""
    number = world.number(group)
    rows = world.rows("SELECT * FROM entries WHERE conversation_id = :id ORDER BY seq", id=number)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [row.change for row in rows] == [row.seq for row in rows]
    assert all(one.created_at < other.created_at for one, other in pairwise(rows))
    names = {row.public_id: row.id for row in world.rows("SELECT id, public_id FROM users")}
    inside, count = set(), 0
    for row in rows:
        if row.type != "system":
            assert row.sender_id in inside
            count += 1
        else:
            apply_notice(inside, row.body, names, world, number)
        assert row.count == count
    present = {
        row[0]
        for row in world.rows(
            "SELECT user_id FROM memberships WHERE conversation_id = :id AND left_seq IS NULL", id=number
        )
    }
    assert present == inside
    ((kept,),) = world.rows("SELECT member_count FROM conversation_heads WHERE conversation_id = :id", id=number)
    assert kept == len(inside)


def apply_notice(inside: set[int], body: str, names: dict[str, int], world: World, number: int) -> None:
    notice = orjson.loads(body)["metadata"]["notice"]
    users = {names[user] for user in notice["userIds"]}
    if notice["kind"] == "created":
        users = {row[0] for row in world.rows("SELECT user_id FROM memberships WHERE conversation_id = :id", id=number)}
        inside |= users
    elif notice["kind"] in ("joined", "added"):
        assert not users & inside
        inside |= users
    else:
        assert users <= inside
        inside -= users
