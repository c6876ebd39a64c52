"""What a node shows at /metrics, over a real server."""

import re
from collections.abc import Callable

import requests

from tests.clients.person import Person
from tests.clients.wire import Wire
from tests.deployment import Deployment, Web, wait_for

__all__ = ["figures", "one"]

SETTLED = 20.0  # seconds in which what earlier tests unsettled, and what is under way, is over


def figures(web: Web) -> dict[str, float]:
    """Return the figures of its own worker by name and labels: other servers of the run use the same folder."""
    text = requests.get(web.url + "/metrics", timeout=10).text
    (worker,) = web.workers()
    lines = [line for line in text.splitlines() if not line.startswith("#") and f'worker="{worker}"' in line]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def one(found: dict[str, float], pattern: str) -> float:
    """Return the only figure whose name and labels match."""
    (value,) = [value for name, value in found.items() if re.search(pattern, name)]
    return value


def test_connections_are_counted_by_carrier(servers: Callable[..., Web]) -> None:
    alone = servers(MESSAGE_BURST=9_999)  # which no other test is connected to
    person = Person(alone.url)

    def sockets() -> float:
        return sum(value for name, value in figures(alone).items() if re.search(r'connections\{.*"websocket"', name))

    assert sockets() == 0
    wires = [Wire.of(person, url=alone.url) for _ in range(3)]
    assert sockets() == 3
    for wire in wires:
        wire.close()
    wait_for(lambda: sockets() == 0, SETTLED, "all connections to be over")


def test_a_message_shows_in_how_long_it_took_to_be_acked_and_delivered(deployment: Deployment) -> None:
    person = Person(deployment.url)
    before = figures(deployment.web)
    for turn in range(5):
        person.send(person, f"{turn}")
    after = figures(deployment.web)
    for name in ("send_to_ack", "send_to_delivery"):
        pattern = rf"{name}.*_count"
        assert one(after, pattern) >= one(before, pattern) + 5


def test_the_state_of_the_stores_and_the_queues_is_shown(deployment: Deployment) -> None:
    queues = ("writer_queue_messages", "writer_queue_bytes", "log_queue_events", "outbox_bytes", "slow_clients")

    def calm() -> bool:
        found = figures(deployment.web)
        assert one(found, r"tail_age_seconds(\{|$)") >= 0
        waiting = [one(found, rf"{name}(\{{|$)") for name in queues]
        return one(found, r"redis_up(\{|$)") == 1 and one(found, r"tail_age_seconds(\{|$)") < 15 and not any(waiting)

    wait_for(calm, SETTLED, "Redis to be trusted, the tail to look, and the queues to be empty")
