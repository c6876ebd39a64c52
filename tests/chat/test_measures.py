"""The numbers of a node at /metrics are read at the scrape, and its writer's batches are counted."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine

from chat.dispatch import Dispatch
from chat.measures import measure
from chat.metrics import Metrics
from chat.writer import Writer
from tests.chat.carrier import session_of
from tests.chat.processes import DEADLINE, until
from tests.clients.native import Client, Person, Refused
from tests.deployment import Deployment

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1/never-asked"


def writer() -> Writer:
    return Writer(NOWHERE, {}, lambda events: None)


def dispatch() -> Any:
    """One that nobody gives a command: only what it counts is of interest."""
    return Dispatch(*[None] * 6)  # type: ignore[arg-type]


@pytest.fixture
def node() -> Any:
    made = SimpleNamespace(
        metrics=Metrics(),
        hub=SimpleNamespace(users={1: "ann", 2: "bob"}, sessions={}, backlog=11, slow={"one"}),
        sessions_opened=5,
        writer=writer(),
        dispatch=dispatch(),
        log=SimpleNamespace(queued=4, epoch="e1"),
        positions=[1, 2, 3, 4, 5, 6],
        tail=SimpleNamespace(looked_us=int((time.time() - 100) * 1e6)),
        engine=create_engine(NOWHERE),
    )
    made.writer.queued, made.writer.queued_bytes = 3, 700
    measure(made)
    return made


def numbers(node: Any) -> dict[str, Any]:
    found: dict[str, Any] = node.metrics.numbers()["gauges"]
    return found


def test_every_number_can_be_read(node: Any) -> None:
    assert numbers(node).keys() == node.metrics.gauges.keys()
    assert 99 < numbers(node).pop("tail_age_seconds") < 200
    assert {name: value for name, value in numbers(node).items() if name != "tail_age_seconds"} == {
        "connections": {},
        "users": 2,
        "sessions_opened": 5,
        "writer_queue_messages": 3,
        "writer_queue_bytes": 700,
        "log_queue_events": 4,
        "positions_queue": 6,
        "outbox_bytes": 11,
        "slow_clients": 1,
        "redis_up": 1,
        "database_pool_used": 0,
    }


def test_numbers_are_those_of_the_scrape(node: Any) -> None:
    node.writer.queued, node.log.epoch = 9, None
    assert (numbers(node)["writer_queue_messages"], numbers(node)["redis_up"]) == (9, 0)


def test_sessions_are_told_by_their_carrier(node: Any) -> None:
    sessions = [session_of(1), session_of(2), session_of(3)]
    sessions[2].carrier.kind = "longpoll"
    node.hub.sessions = {session.id: session for session in sessions}
    assert numbers(node)["connections"] == {"fake": 2, "longpoll": 1}


def test_a_batch_is_counted_when_it_is_answered_and_when_it_is_delivered(node: Any) -> None:
    now = time.monotonic()
    batch = [SimpleNamespace(accepted=now - 100), SimpleNamespace(accepted=now - 50)]
    node.writer.answered(batch)
    node.writer.delivered(batch[1:])
    acks, deliveries = node.metrics.send_to_ack, node.metrics.send_to_delivery
    assert (sum(acks.counts), sum(deliveries.counts)) == (2, 1)
    assert 150 <= acks.total < 250
    assert 50 <= deliveries.total < 100


def test_what_sockets_are_refused_is_counted_with_what_requests_are(node: Any) -> None:
    node.metrics.errors["forbidden"] += 1
    node.dispatch.refusals["forbidden"] += 1
    assert node.metrics.numbers()["errors"] == {"forbidden": 2}


def test_nothing_is_hung_on_a_part_that_does_not_know_of_it(node: Any) -> None:
    assert vars(node.writer).keys() == vars(writer()).keys()
    assert vars(node.dispatch).keys() == vars(dispatch()).keys()


def test_a_server_shows_what_messages_took_and_what_a_socket_was_refused(deployment: Deployment) -> None:
    ann = Person(deployment.url)
    client = Client(ann)
    before = shown(deployment)
    client.send(ann, "a note")
    with pytest.raises(Refused):
        client.ask("message.send", conversationId="g999999999", content="to nobody")
    until(lambda: all(now > then for now, then in zip(shown(deployment), before, strict=True)), "all three are counted")
    client.close()
    ann.close()


def shown(deployment: Deployment) -> list[float]:
    """Return how many messages were acked and delivered, and how often somebody was no member."""
    text = requests.get(f"{deployment.url}/metrics", timeout=DEADLINE).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    wanted = ("chat_send_to_ack_seconds_count", "chat_send_to_delivery_seconds_count", 'code="not_a_member"')
    return [sum(float(value) for name, value in values.items() if part in name) for part in wanted]
