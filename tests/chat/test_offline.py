"""Who builds the batches of a long backlog: the worker while it answers, this process at once where it does not."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from chat import offline as offline_module
from chat.entries import FORMAT, Parcel, batch, packed
from chat.errors import ChatError
from chat.frames import Event
from chat.offline import A_TASK, SENT, Offline, Patience
from chat.session import State
from tests.chat.carrier import session_of

PARCEL = Parcel([(7, 1, 1), (7, 2, 2)], 600, 5)
ROW = [7, None, None, 1, 1, "u1", "l", "text", "hi", None, 0, None, None]


class Node:
    """A node that builds batches of one message; `refusals`: how often its database is away."""

    process_id = "me"

    def __init__(self) -> None:
        self.log, self.catchup = self, self
        self.epoch: str | None = "e"
        self.refusals = 0

    def build(self, user_id: int, parcel: Parcel) -> Event:
        if self.refusals:
            self.refusals -= 1
            raise ChatError("overloaded")
        return batch([[*ROW[:8], "here", *ROW[9:]]], parcel.remaining)


class Broker:
    """Takes tasks; `answers(task's requests)` is the worker."""

    def __init__(self, offline: Offline):
        self.offline = offline
        self.tasks: list[list[Any]] = []
        self.takes = True
        self.answers: Callable[[list[Any]], None] = self.build

    def send(self, task: str, arguments: tuple[Any, ...], **options: Any) -> bool:
        assert (task, arguments[:2], options) == (
            "tasks.offline.build",
            (FORMAT, "me"),
            {"expires": 30, "retry": False},
        )
        self.tasks.append(arguments[2])
        if self.takes:
            gevent.spawn(self.answers, arguments[2])
        return self.takes

    def build(self, requests: list[Any]) -> None:
        for tag, _, _, remaining in requests:
            self.offline.posted(packed(tag, batch([ROW], remaining)))

    def nothing(self, requests: list[Any]) -> None:
        """A worker that is busy."""


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def offline(node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offline]:
    monkeypatch.setattr(offline_module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(offline_module, "AGAIN", 0.01)
    made = Offline(node)
    running = gevent.spawn(made.loops["offline batches"])
    yield made
    running.kill()


@pytest.fixture
def broker(offline: Offline, monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker(offline)
    monkeypatch.setattr(offline_module.queue, "send", made.send)
    return made


def returning() -> Any:
    session = session_of(1)
    session.state = State.CATCHING
    return session


def build(offline: Offline) -> Event | None:
    return offline.build(returning(), PARCEL, Patience())


def contents(*batches: Event | None) -> list[str]:
    return [message["content"] for event in batches if event for message in event.data["messages"]]


def test_the_worker_builds_it_for_the_user_who_comes_back(offline: Offline, broker: Broker) -> None:
    event = build(offline)
    assert contents(event) == ["hi"]
    assert event is not None
    assert (event.told, event.data["remaining"]) == (((7, 1, 1),), 5)
    ((_, user_id, keys, remaining),) = broker.tasks[0]
    assert (user_id, keys, remaining) == (1, PARCEL.keys, 5)
    assert offline.built == {"worker": 1, "here": 0}


def test_what_many_ask_for_at_once_is_one_task(offline: Offline, broker: Broker) -> None:
    asking = [gevent.spawn(build, offline) for _ in range(A_TASK + 1)]
    gevent.joinall(asking, timeout=5)
    assert [len(requests) for requests in broker.tasks] == [A_TASK, 1]
    assert len(contents(*(each.value for each in asking))) == A_TASK + 1


def test_a_broker_that_takes_nothing_is_not_asked_again_for_a_while(offline: Offline, broker: Broker) -> None:
    broker.takes = False
    assert contents(*(build(offline) for _ in range(3))) == ["here"] * 3
    assert len(broker.tasks) == 1
    offline._away_until, broker.takes = 0.0, True
    assert contents(build(offline)) == ["hi"]


def test_a_worker_that_does_not_answer_delays_one_round(offline: Offline, broker: Broker) -> None:
    broker.answers = broker.nothing
    asking = [gevent.spawn(build, offline) for _ in range(3)]
    gevent.joinall(asking, timeout=5)
    assert contents(*(each.value for each in asking)) == ["here"] * 3
    assert contents(build(offline)) == ["here"]
    assert len(broker.tasks) == 1
    assert offline.built == {"worker": 0, "here": 4}


def test_a_batch_that_comes_too_late_is_dropped(offline: Offline, broker: Broker) -> None:
    broker.answers = broker.nothing
    build(offline)
    broker.build(broker.tasks[0])
    assert offline._awaited == {}


def test_while_redis_is_in_doubt_the_worker_is_not_asked(offline: Offline, broker: Broker, node: Node) -> None:
    node.epoch = None
    assert contents(build(offline)) == ["here"]
    assert broker.tasks == []


@pytest.mark.usefixtures("broker")
def test_a_database_that_is_away_is_asked_again(offline: Offline, node: Node) -> None:
    node.epoch, node.refusals = None, 2
    assert contents(build(offline)) == ["here"]


def test_a_session_that_ended_meanwhile_gets_nothing(offline: Offline, broker: Broker) -> None:
    broker.answers = broker.nothing
    session = returning()
    asking = gevent.spawn(offline.build, session, PARCEL, Patience())
    gevent.idle()
    session.state = State.CLOSED
    asking.join(5)
    assert asking.value is None
    assert asking.successful()


def test_when_many_come_back_at_once_the_worker_builds_for_all_of_them_and_is_not_to_blame(
    offline: Offline, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker that takes 20 ms a task: what waits for its turn here waits longer than an answer may take."""
    monkeypatch.setattr(offline_module, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(offline_module, "WAIT_SECONDS", 20.0)
    jobs: Queue[list[Any]] = Queue()

    def work() -> None:
        for requests in jobs:
            gevent.sleep(0.02)
            broker.build(requests)

    broker.answers = jobs.put
    working = gevent.spawn(work)
    asking = [gevent.spawn(build, offline) for _ in range(1_000)]
    gevent.joinall(asking, timeout=20)
    working.kill()
    assert offline.built == {"worker": 1_000, "here": 0}
    assert len(broker.tasks) <= 1_000 / A_TASK + 2


def test_the_worker_is_given_only_so_much_at_a_time(offline: Offline, broker: Broker) -> None:
    broker.answers = broker.nothing
    asking = [gevent.spawn(build, offline) for _ in range(2 * SENT)]
    wait_until(lambda: sum(map(len, broker.tasks)) >= SENT)
    gevent.sleep(0.02)
    assert sum(map(len, broker.tasks)) == SENT
    broker.build([request for requests in broker.tasks for request in requests])
    wait_until(lambda: sum(map(len, broker.tasks)) == 2 * SENT)
    gevent.joinall(asking, timeout=5)
    assert offline.built == {"worker": SENT, "here": SENT}


def test_a_session_waits_for_a_slow_worker_only_so_long_in_all_and_blames_it_for_nothing(
    offline: Offline, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_module, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(offline_module, "ANSWER_SECONDS", 1.0)

    def slowly(requests: list[Any]) -> None:
        gevent.sleep(0.3)
        broker.build(requests)

    broker.answers = slowly
    patience, session = Patience(), returning()
    built = contents(*(offline.build(session, PARCEL, patience) for _ in range(5)))
    assert built == ["hi"] + ["here"] * 4
    assert contents(build(offline)) == ["hi"], "another session has a patience of its own"


def wait_until(is_so: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not is_so():
            gevent.sleep(0.001)
