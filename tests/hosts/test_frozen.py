"""A worker that is frozen (SIGSTOP), under load and with locks held: the others go on, and its waking does no harm."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.clients.crowd import HEALED, Crowd
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import ROOT, Deployment, Web
from tests.hosts.holder import RENAMED
from tests.load import Load

LOCKED = 3  # conversations: more than a writer has lanes
FROZEN = 2.5  # seconds under load
BEARABLE = 1.0  # seconds for 9 of 10 acks beside it, on a machine with other things to do
LET_GO = 12.0  # seconds: idle_in_transaction_session_timeout, a lock waited for in vain, and a slow machine


@contextmanager
def frozen(web: Web) -> Iterator[None]:
    """Freeze the workers of a web server for a while."""
    workers = web.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def acks(device: Client, to: Person | str, seconds: float) -> list[float]:
    """Send one message after the other for so long; return how long each ack took, the quickest first."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        device.send(to, f"beside it {len(took)}")
        took.append(time.monotonic() - begun)
    return sorted(took)


def test_a_worker_frozen_under_load_holds_up_no_other_and_its_waking_does_no_harm(
    broken: Deployment, crowd: Crowd
) -> None:
    load = Load(crowd, seed=41).start()
    beside = crowd.device(crowd.person(0), web=0)
    load.go_on(60)
    for _ in range(2):
        with frozen(broken.webs[1]):
            took = acks(beside, beside.person, FROZEN)
        assert took[len(took) * 9 // 10] < BEARABLE
        load.go_on(40)
    load.stop()
    crowd.check()


def test_what_a_frozen_worker_was_told_meanwhile_its_clients_get_once_it_wakes(
    broken: Deployment, crowd: Crowd
) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    devices = [crowd.device(bob, carrier, 1, auto=False) for carrier in ("websocket", "poll", "stream")]
    with frozen(broken.webs[1]):
        last = [ann.send(group, f"while it is frozen {place}") for place in range(50)][-1]
        time.sleep(FROZEN)  # longer than Redis is waited for
    for device in devices:
        device.wait_seq(group, last["seq"], HEALED)
    crowd.check()


def test_conversations_locked_by_a_frozen_process_wait_for_seconds_and_all_others_for_nothing(
    broken: Deployment, crowd: Crowd
) -> None:
    ann, bob = crowd.persons(2)
    groups = [ann.group(bob) for _ in range(LOCKED)]
    senders = [crowd.device(ann, web=web) for web in (0, 1)]
    quiet = [crowd.device(bob, web=web) for web in (0, 1)]
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.hosts.holder", broken.postgres.url, *(group[1:] for group in groups)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiting = [threading.Thread(target=sender.send, args=(group, "waits")) for sender in senders for group in groups]
    begun = time.monotonic()
    for one in waiting:
        one.start()
    took = sorted(acks(quiet[0], bob, FROZEN / 2) + acks(quiet[1], bob, FROZEN / 2))
    assert any(one.is_alive() for one in waiting), "nothing was locked"
    assert took[len(took) * 9 // 10] < BEARABLE / 4
    assert took[-1] < BEARABLE
    for one in waiting:
        one.join()
    assert time.monotonic() - begun < LET_GO
    holder.send_signal(signal.SIGCONT)
    assert holder.stdout.read() in ("unavailable\n", "overloaded\n"), "it has to hear that nothing came of it"
    assert holder.wait(HEALED) == 0
    holder.stdout.close()
    assert RENAMED not in {ann.call("GET", f"/groups/{group}")["name"] for group in groups}
    crowd.check()
