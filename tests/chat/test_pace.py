"""How fast a client must send or take."""

from chat.pace import BYTES_A_SECOND, GRACE_SECONDS, Pace


def test_who_keeps_the_pace_may_go_on_for_ever_and_be_late_once() -> None:
    pace = Pace()
    for _ in range(1_000):
        assert pace.seconds_for(BYTES_A_SECOND) == GRACE_SECONDS + 1
        pace.note(BYTES_A_SECOND, 1)
    pace.note(BYTES_A_SECOND, GRACE_SECONDS)
    assert pace.seconds_for(BYTES_A_SECOND) == 2


def test_who_was_fast_has_no_more_time_than_others() -> None:
    pace = Pace()
    pace.note(600 * BYTES_A_SECOND, 1)
    assert pace.seconds_for(1) < GRACE_SECONDS + 1


def test_who_trickles_has_less_each_time() -> None:
    pace = Pace()
    for _ in range(10):
        pace.note(1, 3)
    assert pace.seconds_for(1) < 0.01
    assert pace.seconds_for(1) > 0
