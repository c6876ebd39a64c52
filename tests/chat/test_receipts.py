from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chat.frames import USER
from chat.receipts import Receipt, Receipts


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def told(events):
    return [(event.target, orjson.loads(event.raw)) for event in events]


def receipt(read=None, delivered=None, authors=(1,), member="ann"):
    return Receipt("g7", member, read, delivered, authors)


def test_the_first_receipt_goes_to_every_author_at_once():
    events = Receipts(Clock()).offer(receipt(read=3, delivered=5, authors=(2, 1)))
    data = {"conversationId": "g7", "userId": "ann", "deliveredSeq": 5, "readSeq": 3}
    assert told(events) == [(1, data), (2, data)]
    assert {(event.name, event.scope, event.logged, event.change) for event in events} == {("receipt", USER, True, 0)}
    assert events[0].raw is events[1].raw, "encoded once for all"


def test_what_did_not_move_is_not_mentioned():
    ((_, data),) = told(Receipts(Clock()).offer(receipt(read=3)))
    assert data == {"conversationId": "g7", "userId": "ann", "readSeq": 3}


def test_receipts_of_the_same_second_are_merged_into_the_furthest():
    clock = Clock()
    receipts = Receipts(clock)
    receipts.offer(receipt(read=1))
    assert receipts.offer(receipt(read=4, delivered=4, authors=(1,))) == []
    assert receipts.offer(receipt(delivered=6, authors=(2,))) == []
    assert receipts.ripe() == []
    clock.now += receipts.rest()
    data = {"conversationId": "g7", "userId": "ann", "deliveredSeq": 6, "readSeq": 4}
    assert told(receipts.ripe()) == [(1, data), (2, data)]


def test_a_merged_receipt_starts_a_second_of_its_own():
    clock = Clock()
    receipts = Receipts(clock)
    receipts.offer(receipt(read=1))
    receipts.offer(receipt(read=2))
    clock.now += 1
    assert len(receipts.ripe()) == 1
    assert receipts.offer(receipt(read=3)) == []
    clock.now += 1
    assert len(receipts.ripe()) == 1


def test_members_do_not_wait_for_each_other():
    receipts = Receipts(Clock())
    receipts.offer(receipt(read=1))
    assert len(receipts.offer(receipt(read=1, member="bob"))) == 1


def test_nothing_is_asked_of_the_clock_while_nothing_waits():
    clock = Clock()
    receipts = Receipts(clock)
    assert receipts.rest() is None
    receipts.offer(receipt(read=1))
    assert receipts.rest() is None
    receipts.offer(receipt(read=2))
    assert receipts.rest() == 1.0


def test_when_too_many_are_remembered_receipts_are_told_unmerged(monkeypatch):
    monkeypatch.setattr("chat.receipts.KEPT", 1)
    receipts = Receipts(Clock())
    receipts.offer(receipt(read=1))
    for read in (1, 2):
        assert len(receipts.offer(receipt(read=read, member="bob"))) == 1
    assert receipts.offer(receipt(read=2)) == []


steps = st.lists(st.tuples(st.floats(0, 0.7), st.sampled_from(["ann", "bob"]), st.integers(1, 50)), max_size=60)


@given(steps)
def test_a_member_is_told_at_most_once_a_second_and_the_last_position_is_always_told(steps):
    clock = Clock()
    receipts = Receipts(clock)
    times: dict[str, list[float]] = {}
    last: dict[str, int] = {}
    furthest: dict[str, int] = {}

    def take(events):
        for event in events:
            data = orjson.loads(event.raw)
            times.setdefault(data["userId"], []).append(clock.now)
            last[data["userId"]] = data["readSeq"]

    seq = 0
    for pause, member, step in steps:
        seq += step
        clock.now += pause
        furthest[member] = seq
        take(receipts.ripe())
        take(receipts.offer(receipt(read=seq, member=member)))
    while (rest := receipts.rest()) is not None:
        clock.now += rest + 1e-6
        take(receipts.ripe())
    assert last == furthest
    for moments in times.values():
        assert all(later - earlier >= 0.999 for earlier, later in pairwise(moments))
