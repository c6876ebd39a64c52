"""Several parts asked at once: none waits for another, and none is asked twice at a time."""

import time

import gevent
import gevent.event

from chat.inquiry import Inquiry


def test_who_hangs_holds_up_nobody_and_is_asked_once() -> None:
    asked: list[str] = []

    def hang() -> str:
        asked.append("hung")
        gevent.sleep(0.3)
        return "late"

    inquiry = Inquiry({"quick": lambda: "soon", "slow": hang})
    begun = time.monotonic()
    assert inquiry.ask(0.05) == {"quick": "soon", "slow": None}
    assert inquiry.ask(0.05) == {"quick": "soon", "slow": None}
    assert time.monotonic() - begun < 0.3
    assert asked == ["hung"]
    assert inquiry.ask(5.0) == {"quick": "soon", "slow": "late"}
    assert asked == ["hung"]
    assert inquiry.ask(0.05)["slow"] is None
    assert asked == ["hung", "hung"]


def test_an_error_is_no_answer_and_spares_the_others() -> None:
    inquiry = Inquiry({"broken": lambda: 1 // 0, "whole": lambda: 1})
    for _ in range(2):
        assert inquiry.ask(1.0) == {"broken": None, "whole": 1}


def test_everybody_who_asks_at_the_same_time_gets_the_answer() -> None:
    asked: list[str] = []

    def take_a_moment() -> str:
        asked.append("once")
        gevent.sleep(0.02)
        return "here"

    inquiry = Inquiry({"there": take_a_moment})
    asking = [gevent.spawn(inquiry.ask, 5.0) for _ in range(5)]
    gevent.joinall(asking, timeout=5)
    assert [each.value for each in asking] == [{"there": "here"}] * 5
    assert asked == ["once"]


def test_who_waits_for_a_part_that_hangs_takes_nobody_elses_answers() -> None:
    hangs = gevent.event.Event()
    inquiry: Inquiry[object] = Inquiry({"quick": lambda: "soon", "hung": hangs.wait})
    asking = []
    for _ in range(4):  # one after the other, while those before still wait for the one that hangs
        asking.append(gevent.spawn(inquiry.ask, 0.1))
        gevent.sleep(0.02)
    gevent.joinall(asking, timeout=5)
    hangs.set()
    assert [each.value for each in asking] == [{"quick": "soon", "hung": None}] * 4


def test_an_answer_that_came_when_nobody_waited_is_not_told_as_news() -> None:
    answers = iter(["of long ago", "of now"])
    goes_on = gevent.event.Event()

    def hang_once() -> str:
        answer = next(answers)
        goes_on.wait()
        return answer

    inquiry = Inquiry({"part": hang_once})
    assert inquiry.ask(0.01) == {"part": None}
    goes_on.set()
    gevent.idle()
    assert inquiry.ask(5.0) == {"part": "of now"}
