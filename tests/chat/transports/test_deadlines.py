"""Deadlines of many, looked at together."""

import time

import gevent
import pytest

from chat.transports import deadlines as module
from chat.transports.deadlines import Deadlines


@pytest.fixture(autouse=True)
def fine_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOT", 0.02)


def test_each_is_called_once_after_its_time_and_in_the_order_of_the_times() -> None:
    deadlines, called, begun = Deadlines(), [], time.monotonic()
    for name, seconds in (("late", 0.3), ("soon", 0.1), ("at once", 0.0)):
        deadlines.set(name, seconds, lambda name=name: called.append((name, time.monotonic() - begun)))  # type: ignore[misc]
    with gevent.Timeout(5):
        while len(called) < 3:
            gevent.sleep(0.01)
    assert [name for name, _ in called] == ["at once", "soon", "late"]
    assert called[1][1] >= 0.1
    assert called[2][1] >= 0.3


def test_one_that_was_cancelled_is_not_called_and_its_key_may_be_used_again() -> None:
    deadlines, called = Deadlines(), []
    deadlines.cancel("a", deadlines.set("a", 0.05, lambda: called.append("first")))
    deadlines.set("a", 0.05, lambda: called.append("second"))
    deadlines.cancel("nobody", 12)
    with gevent.Timeout(5):
        while not called:
            gevent.sleep(0.01)
    gevent.sleep(0.1)
    assert called == ["second"]


def test_who_cancels_another_while_all_are_called_is_heard() -> None:
    deadlines, called = Deadlines(), []
    slots: dict[str, int] = {}

    def call(name: str, other: str) -> None:
        called.append(name)
        deadlines.cancel(other, slots[other])

    slots["a"] = deadlines.set("a", 0.05, lambda: call("a", "b"))
    slots["b"] = deadlines.set("b", 0.05, lambda: call("b", "a"))
    gevent.sleep(0.3)
    assert len(called) == 1


def test_it_looks_on_after_it_had_nothing_to_do() -> None:
    deadlines, called = Deadlines(), []
    for turn in range(2):
        deadlines.set(turn, 0.01, lambda turn=turn: called.append(turn))  # type: ignore[misc]
        with gevent.Timeout(5):
            while len(called) <= turn:
                gevent.sleep(0.01)
        gevent.sleep(0.05)


def test_one_that_fails_is_logged_and_keeps_no_other_from_its_time(caplog: pytest.LogCaptureFixture) -> None:
    deadlines, called = Deadlines(), []
    deadlines.set("bad", 0.02, lambda: 1 / 0)
    deadlines.set("good", 0.1, lambda: called.append("good"))
    with gevent.Timeout(5):
        while not called:
            gevent.sleep(0.01)
    assert "failed on our side" in caplog.text
