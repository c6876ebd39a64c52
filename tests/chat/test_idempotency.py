"""Idempotency-Key: the second request gets the first one's answer, whoever comes first."""

from threading import Barrier, Thread
from typing import Any

import pytest

from chat.errors import ChatError
from chat.frames import Caller, Command
from chat.idempotency import once
from chat.transaction import Transaction
from tests.chat.world import World


def ask(world: World, caller: Caller, key: str = "k", work: Any = None, **data: Any) -> Any:
    command = Command("group.create", None, {"name": "Club", **data}, key)
    return world.do(lambda tx: once(tx, caller, command, work or (lambda: {"made": 1})))


def test_the_work_is_done_once_and_the_answer_kept(world: World) -> None:
    ann = world.person()
    answers = [ask(world, ann, work=lambda turn=turn: {"turn": turn}) for turn in range(3)]
    assert answers == [{"turn": 0}] * 3


def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    ann = world.person()
    ask(world, ann)
    with pytest.raises(ChatError, match="idempotency_conflict"):
        ask(world, ann, name="Other")


def test_the_order_of_the_fields_makes_no_other_request(world: World) -> None:
    ann = world.person()
    first = ask(world, ann, a=1, b=2, work=lambda: {"turn": 1})
    assert ask(world, ann, b=2, a=1, work=lambda: {"turn": 2}) == first


def test_a_key_is_its_users_own_and_each_key_its_own(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    answers = [
        ask(world, who, key, work=lambda turn=turn: turn)
        for turn, (who, key) in enumerate([(ann, "k"), (bob, "k"), (ann, "other")])
    ]
    assert answers == [0, 1, 2]


def test_what_was_refused_is_not_kept(world: World) -> None:
    ann = world.person()

    def refuse() -> Any:
        raise ChatError("group_full")

    with pytest.raises(ChatError, match="group_full"):
        ask(world, ann, work=refuse)
    assert ask(world, ann) == {"made": 1}


def test_after_a_day_a_key_is_free_again(world: World) -> None:
    ann = world.person()
    ask(world, ann)
    world.sql(
        "UPDATE idempotent_answers SET created_at = now() - interval '25 hours' WHERE user_id = :u", u=ann.user_id
    )
    assert ask(world, ann, name="Other", work=lambda: {"made": 2}) == {"made": 2}
    assert ask(world, ann, name="Other") == {"made": 2}


def test_two_at_once_are_done_once(world: World) -> None:
    ann = world.person()
    both, done, answers = Barrier(2), [], []

    def work(tx: Transaction) -> Any:
        both.wait(5)
        command = Command("group.create", None, {"name": "Club"}, "k")
        return once(tx, ann, command, lambda: done.append(1) or {"turn": len(done)})

    threads = [Thread(target=lambda: answers.append(world.do(work))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [1]
    assert answers == [{"turn": 1}] * 2
