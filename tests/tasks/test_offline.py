"""A long backlog by way of real workers: built there, or here when one is killed or the broker lost; never twice."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from chat.entries import FORMAT
from tasks import offline
from tests.chat.processes import until
from tests.clients.crowd import Crowd
from tests.clients.native import Client
from tests.deployment import wait_for
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew

PATIENCE = 30.0  # seconds
LONG = 420  # messages: nine batches, eight of them asked for


@pytest.fixture
def listening(site: Site) -> Iterator[Any]:
    """Hears what workers send to single processes: `batches()` are those that came since the last look."""
    with redis.Redis.from_url(site.redis.url) as client, client.pubsub() as found:
        found.psubscribe("events:*")
        found.get_message(timeout=5)
        yield found


def batches(listening: Any) -> int:
    found = 0
    while listening.get_message(timeout=0.05) is not None:
        found += 1
    return found


def send_all(device: Client, group: str, count: int, mark: str = "missed") -> int:
    """Send messages at full speed; return the seq of the last."""
    numbers = [device.post("message.send", conversationId=group, content=f"{mark} {place}") for place in range(count)]
    return int([device.reply(number) for number in numbers][-1]["seq"])


def backlog(crowd: Crowd, count: int, carrier: str = "websocket") -> tuple[str, Client, Client, int]:
    """Return a group, a device that writes, one that has lost its line, and the last seq."""
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender = crowd.device(ann)
    device = crowd.device(bob, carrier, auto=False)
    device.cut()
    last = send_all(sender, group, count)  # more than the logs keep
    return group, sender, device, last


def handed(device: Client) -> list[int]:
    """Return how many messages each batch brought."""
    return [len(data["messages"]) for data in device.events("offline.batch")]


def ready(crew: Crew, site: Site) -> None:
    """Wait until a worker answers."""
    with redis.Redis.from_url(site.redis.url) as client:
        client.delete("celery:heartbeat")
        crew.send("tasks.worker.heartbeat")
        until(lambda: client.exists("celery:heartbeat"), "a worker that answers")


@pytest.fixture(scope="module")
def standing(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """A worker that no test harms."""
    made = Crew(tmp_path_factory.mktemp("standing"), site.environ)
    made.worker(processes=1)
    ready(made, site)
    yield made
    made.end()


def halfway(crowd: Crowd) -> tuple[str, Client, int]:
    """Return a group, a device that was handed some batches and takes no more for the moment, and the last seq."""
    group, _, device, last = backlog(crowd, LONG)
    device.reading.clear()
    device.move()
    for _ in range(3):
        seen = len(device.seen)
        device.reading.set()
        until(lambda seen=seen: len(device.seen) > seen, "a further batch")  # type: ignore[misc]
        device.reading.clear()
    return group, device, last


def finish(crowd: Crowd, group: str, device: Client, last: int) -> None:
    """Let the device take the rest, and see that it came once and in order."""
    device.reading.set()
    device.wait_seq(group, last, PATIENCE)
    crowd.check(PATIENCE)
    assert not device.events("resync")


@pytest.mark.usefixtures("standing")
def test_a_long_backlog_is_built_by_the_worker_for_every_carrier(crowd: Crowd, listening: Any) -> None:
    waiting = [backlog(crowd, LONG, carrier) for carrier in ("websocket", "poll", "stream")]
    for _, _, device, _ in waiting:
        device.move()
    for group, _, device, last in waiting:
        device.wait_seq(group, last, PATIENCE)
        assert not device.events("resync")
    crowd.check(PATIENCE)
    assert batches(listening) == 3 * 8


def test_what_another_version_of_the_server_asks_for_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "stores", None)  # it asks nobody, and tells nobody
    offline.build(FORMAT + 1, "somebody", [("tag", 1, [[1, 1, 1]], 0)])
    with pytest.raises(AttributeError):
        offline.build(FORMAT, "somebody", [("tag", 1, [[1, 1, 1]], 0)])


def test_a_short_backlog_never_touches_the_broker(crowd: Crowd, site: Site) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    last = send_all(crowd.device(ann), group, 50)
    with redis.Redis.from_url(site.broker.url) as client:
        client.config_resetstat()
        device = crowd.device(bob)
        device.wait_seq(group, last)
        assert handed(device) == [50]
        assert "cmdstat_lpush" not in client.info("commandstats")


@pytest.mark.usefixtures("standing")
def test_live_events_arriving_during_offline_batches_follow_them_once_and_in_order(
    crowd: Crowd, listening: Any
) -> None:
    group, sender, device, _ = backlog(crowd, LONG)
    device.reading.clear()
    device.move()
    for turn in range(3):
        last = send_all(sender, group, 100, f"arrived {turn}")
        device.reading.set()
    finish(crowd, group, device, last)
    assert batches(listening) >= 8


@pytest.mark.usefixtures("standing")
def test_after_flushall_of_the_broker_the_worker_goes_on(crowd: Crowd, site: Site, listening: Any) -> None:
    group, device, last = halfway(crowd)
    with redis.Redis.from_url(site.broker.url) as client:
        client.flushall()
    batches(listening)
    finish(crowd, group, device, last)
    assert batches(listening)


@pytest.mark.usefixtures("standing")
def test_who_is_taken_out_of_a_group_in_the_middle_gets_no_more_of_it(crowd: Crowd) -> None:
    group, device, last = halfway(crowd)
    crowd.people[0].remove(group, device.person)
    device.reading.set()
    until(lambda: device.events("cursor"), "the end of the backlog")
    assert (group, last) not in device.entries


# The worker of the tests above has ended, or is in nobody's way: these tests have one of their own.


@pytest.fixture
def own(crew: Crew, site: Site, standing: Crew) -> Iterator[Crew]:
    """A worker of the test's own, and a web server that trusts it."""
    standing.end()
    crew.worker()
    ready(crew, site)
    yield crew
    site.web.kill_workers()  # who remembers for ten seconds that nobody answered
    wait_for(site.web.is_ready, PATIENCE, "the web server to be ready again")


def test_a_worker_killed_in_the_middle_takes_no_message_with_it(crowd: Crowd, own: Crew) -> None:
    group, device, last = halfway(crowd)
    own.kill(own.started[0])
    finish(crowd, group, device, last)


def test_a_worker_frozen_in_the_middle_answers_too_late_and_nothing_comes_twice(
    crowd: Crowd, own: Crew, listening: Any
) -> None:
    group, device, last = halfway(crowd)
    frozen = [process.pid for process in own.pool(own.started[0])]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    batches(listening)
    device.reading.set()
    device.wait_seq(group, last, PATIENCE)
    assert not batches(listening)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    until(lambda: batches(listening), "the late batch")
    crowd.check(PATIENCE)


def test_a_broker_lost_in_the_middle_delays_one_batch_and_is_used_again_when_it_is_back(
    crowd: Crowd, own: Crew, site: Site, listening: Any
) -> None:
    group, device, last = halfway(crowd)
    site.broker.kill()
    begun = time.monotonic()
    finish(crowd, group, device, last)
    assert time.monotonic() - begun < 10
    site.broker.start()
    ready(own, site)
    batches(listening)

    def by_the_worker() -> int:
        group, _, other, last = backlog(crowd, 260)  # more than the logs keep
        other.move()
        other.wait_seq(group, last, PATIENCE)
        return batches(listening)

    until(by_the_worker, "a batch of the worker")
    crowd.check(PATIENCE)
