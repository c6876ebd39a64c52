"""Work that blocks, beside the event loop."""

import os
import threading
import time

import gevent
import pytest

from chat.errors import ChatError
from uploads.workshop import AT_ONCE, LAST, NICE, STORE_THREADS, WAITING, Workshop


def test_the_loop_goes_on_while_a_thread_works() -> None:
    ticks: list[int] = []
    ticker = gevent.spawn(lambda: [(ticks.append(1), gevent.sleep(0.001)) for _ in range(1_000)])
    Workshop().file(time.sleep, 0.1)
    ticker.kill()
    assert len(ticks) > 10


def test_what_the_work_says_is_handed_on(capfd: pytest.CaptureFixture[str]) -> None:
    workshop = Workshop()
    assert workshop.file(divmod, 7, 2) == (3, 1)
    assert workshop.image(divmod, 7, 2) == (3, 1)
    for place in (workshop.file, workshop.image, workshop.store):
        with pytest.raises(ZeroDivisionError):
            place(divmod, 7, 0)
    assert capfd.readouterr().err == ""


def test_images_are_looked_at_two_at_a_time() -> None:
    workshop, lock = Workshop(), threading.Lock()
    running = [0, 0]  # now, at most

    def look() -> None:
        with lock:
            running[0] += 1
            running[1] = max(running)
        time.sleep(0.02)
        with lock:
            running[0] -= 1

    gevent.joinall([gevent.spawn(workshop.image, look) for _ in range(6)], raise_error=True)
    assert running == [0, AT_ONCE]


def test_large_images_are_looked_at_one_at_a_time_and_small_ones_beside_them() -> None:
    workshop, go = Workshop(), threading.Event()
    begun: list[int] = []

    def look(number: int) -> None:
        begun.append(number)
        go.wait(10)

    looking = [gevent.spawn(workshop.image, look, number, large=True) for number in range(3)]
    gevent.sleep(0)
    assert workshop.image(len, "small") == 5
    assert begun == [0]
    assert workshop.waiting == 3
    go.set()
    gevent.joinall(looking, raise_error=True)
    assert begun == [0, 1, 2]


def test_images_are_looked_at_behind_everything_else() -> None:
    workshop = Workshop()
    own = os.getpriority(os.PRIO_PROCESS, 0)

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert workshop.image(priority) == min(own + NICE, LAST)
    assert workshop.file(priority) == own


def test_who_would_wait_too_long_is_told_so() -> None:
    workshop, go = Workshop(), threading.Event()
    waiting = [gevent.spawn(workshop.image, go.wait) for _ in range(WAITING)]
    gevent.sleep(0)
    with pytest.raises(ChatError, match="overloaded"):
        workshop.image(len, "")
    go.set()
    gevent.joinall(waiting, raise_error=True)
    assert workshop.image(len, "") == 0


def test_a_storage_that_hangs_keeps_no_file_of_this_machine_waiting() -> None:
    workshop, go = Workshop(), threading.Event()
    hanging = [gevent.spawn(workshop.store, go.wait) for _ in range(2 * STORE_THREADS)]
    gevent.sleep(0)
    other = gevent.spawn(workshop.file, len, "")
    other.join(timeout=10)
    served = other.value
    go.set()
    gevent.joinall(hanging, raise_error=True)
    assert served == 0
    assert workshop.store(divmod, 7, 2) == (3, 1)
