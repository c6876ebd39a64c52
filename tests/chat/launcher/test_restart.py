"""When a child is started again, and when that is given up."""

import pytest

from chat.launcher.restart import LONGEST_DELAY, MOST_FAILURES, QUICK_SECONDS, SPARE_DELAY, GiveUpError, Restarts

KILLED = -9


def ends(restarts: Restarts, times: int, exit_code: int, lived: float = 0.1) -> list[float]:
    delays = []
    for number in range(times):
        restarts.started(now=number * 1000.0)
        delays.append(restarts.ended(now=number * 1000.0 + lived, exit_code=exit_code))
    return delays


def test_the_first_restart_is_at_once_and_the_next_ones_later_and_later() -> None:
    assert ends(Restarts("web"), 6, KILLED) == [0.0, 0.25, 0.5, 1.0, LONGEST_DELAY, LONGEST_DELAY]


def test_a_child_that_is_killed_from_outside_is_never_given_up() -> None:
    assert len(ends(Restarts("web"), 100, KILLED)) == 100


def test_a_child_that_lived_long_is_started_at_once() -> None:
    assert ends(Restarts("web"), 100, 1, lived=QUICK_SECONDS + 1) == [0.0] * 100


def test_a_child_that_ends_by_itself_again_and_again_is_given_up_with_clear_words() -> None:
    restarts = Restarts("the web server")
    ends(restarts, MOST_FAILURES - 1, 3)
    with pytest.raises(GiveUpError, match=r"the web server ended 5 times just after its start \(exit code 3\)"):
        ends(restarts, 1, 3)


def test_a_kill_between_failures_does_not_count_as_one() -> None:
    restarts = Restarts("web")
    ends(restarts, MOST_FAILURES - 1, 3)
    ends(restarts, 1, KILLED)
    ends(restarts, MOST_FAILURES - 1, 3)


def test_a_child_without_which_people_can_go_on_is_tried_for_ever() -> None:
    assert ends(Restarts("beat", vital=False), 50, 3)[-1] == SPARE_DELAY
