"""Reading entries page by page."""

from typing import Any

import orjson
import pytest

from chat import history
from chat.history import Wanted
from tests.chat.world import World


def seqs(messages: list[Any]) -> list[int]:
    return [message["seq"] for message in orjson.loads(orjson.dumps(messages))]


def test_what_is_missed_of_many_stays_near_its_bound_and_brings_the_newest_of_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    groups = [world.number(world.group(bob, ann)) for _ in range(3)]
    for group in groups:
        for _ in range(10):
            world.send(f"g{group}", bob, "x" * 700)
    monkeypatch.setattr(history, "ANSWER_BYTES", 13_000)
    missed = world.do(history.missed, ann.user_id, [Wanted(group, 0, 0, 1, 1) for group in groups])
    found = [seqs(missed[place].messages) for place in range(3)]
    assert [newest[-1] for newest in found] == [11, 11, 11]
    assert sum(map(len, found)) == 13
    assert all(newest == list(range(newest[0], 12)) for newest in found)
    assert all(missed[place].has_more for place in range(3))


def test_the_newest_entry_comes_even_if_it_alone_is_over_the_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = world.person()
    group = world.group(ann)
    world.send(group, ann, "x" * 5_000)
    monkeypatch.setattr(history, "ANSWER_BYTES", 1)
    missed = world.do(history.missed, ann.user_id, [Wanted(world.number(group), 0, 0, 0, 0)])
    assert (seqs(missed[0].messages), missed[0].has_more) == ([2], True)
