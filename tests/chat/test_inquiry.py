"""Several parts asked at once: none waits for another, and none is asked twice at a time."""

import time

import gevent

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
