"""Presence as the verdict sees it: ghosts, the unseen, and who flickers."""

import time

from tests.chaos.device import Stay, Turn
from tests.chaos.presence import GAP, flickers, untrue

NOW = time.monotonic()


def told_offline(at: float) -> list[Turn]:
    return [Turn(NOW + at, "ann", False)]


def stay(begun: float, ended: float, meant: bool = False) -> Stay:
    return Stay(NOW + begun, NOW + ended, meant)


def test_who_went_and_counts_as_online_is_a_ghost_and_who_is_here_and_does_not_is_unseen() -> None:
    online = {"ann": True, "bob": False, "cid": True, "dan": False}
    found = untrue(online, {"cid": 7.0, "dan": 7.0})
    assert found == [("cid counts as online, and went", 7.0), ("bob counts as offline", 0.0)]


def test_who_was_always_here_was_not_to_be_told_offline() -> None:
    assert flickers({"ann": [stay(-20, 0)]}, told_offline(-5), NOW - 20) == [
        "ann was told to be offline, though never away"
    ]


def test_who_was_cut_off_and_came_back_within_the_grace_was_not_either() -> None:
    stays = {"ann": [stay(-20, -10), stay(-9, 0)]}
    assert flickers(stays, told_offline(-9.5), NOW - 20)


def test_nor_who_had_another_device_all_the_time() -> None:
    stays = {"ann": [stay(-20, -15, meant=True), stay(-16, 0), stay(-3, 0)]}
    assert flickers(stays, told_offline(-4), NOW - 20)


def test_who_closed_their_last_line_may_be_told_offline_from_then_on() -> None:
    stays = {"ann": [stay(-20, -10, meant=True), stay(-9, 0)]}
    assert flickers(stays, told_offline(-9.5), NOW - 20) == []
    assert flickers(stays, told_offline(-11), NOW - 20)


def test_who_was_away_for_longer_than_the_grace_may_be_told_offline_after_it() -> None:
    stays = {"ann": [stay(-40, -30), stay(-30 + GAP + 1, 0)]}
    assert flickers(stays, told_offline(-30 + GAP + 0.5), NOW - 40) == []
    assert flickers(stays, told_offline(-29), NOW - 40)


def test_what_was_told_before_all_had_come_and_of_strangers_is_left_out() -> None:
    stays = {"ann": [stay(-20, 0)]}
    assert flickers(stays, told_offline(-15), NOW - 10) == []
    assert flickers(stays, [Turn(NOW - 5, "eve", False)], NOW - 20) == []
