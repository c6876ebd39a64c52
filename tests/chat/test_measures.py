"""What a node shows at /metrics, over a real server."""

import re

import requests

from tests.clients.person import Person
from tests.clients.wire import Wire
from tests.deployment import Deployment


def figures(deployment: Deployment) -> dict[str, float]:
    """Return the figures of its own worker by name and labels: other servers of the run use the same folder."""
    text = requests.get(deployment.url + "/metrics", timeout=10).text
    (worker,) = deployment.web.workers()
    lines = [line for line in text.splitlines() if not line.startswith("#") and f'worker="{worker}"' in line]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def one(found: dict[str, float], pattern: str) -> float:
    (value,) = [value for name, value in found.items() if re.search(pattern, name)]
    return value


def test_connections_are_counted_by_carrier(deployment: Deployment) -> None:
    person = Person(deployment.url)

    def sockets() -> float:
        return sum(
            value for name, value in figures(deployment).items() if re.search(r'connections\{.*"websocket"', name)
        )

    before = sockets()
    wires = [Wire.of(person) for _ in range(3)]
    assert sockets() == before + 3
    for wire in wires:
        wire.close()


def test_a_message_shows_in_how_long_it_took_to_be_acked_and_delivered(deployment: Deployment) -> None:
    person = Person(deployment.url)
    before = figures(deployment)
    for turn in range(5):
        person.send(person, f"{turn}")
    after = figures(deployment)
    for name in ("send_to_ack", "send_to_delivery"):
        pattern = rf"{name}.*_count"
        assert one(after, pattern) >= one(before, pattern) + 5


def test_the_state_of_the_stores_and_the_queues_is_shown(deployment: Deployment) -> None:
    found = figures(deployment)
    assert one(found, r"redis_up(\{|$)") == 1
    assert 0 <= one(found, r"tail_age_seconds(\{|$)") < 15
    for name in ("writer_queue_messages", "writer_queue_bytes", "log_queue_events", "outbox_bytes", "slow_clients"):
        assert one(found, rf"{name}(\{{|$)") == 0
