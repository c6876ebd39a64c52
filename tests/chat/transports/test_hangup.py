"""A client that hangs up while its poll waits gives its place to the next."""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from tests.clients.person import Person, Refused
from tests.deployment import Deployment, wait_for

PLACES = 4  # polls of a login at a time
SOON = 5.0  # seconds; a poll that nobody waits for any more would be held five times as long


@pytest.fixture
def ann(deployment: Deployment) -> Iterator[Person]:
    person = Person(deployment.url)
    yield person
    person.close()


class Poll:
    """A poll that waits, on a connection of its own."""

    def __init__(self, person: Person, cursor: str):
        self._connection = http.client.HTTPConnection(urlsplit(person.url).netloc, timeout=30)
        path = f"/api/v1/poll?timeout=25&cursor={cursor}"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {person.token}"})

    def hang_up(self) -> None:
        """Close the connection without having read anything."""
        self._connection.close()


def may_poll(person: Person, cursor: str) -> bool:
    """Tell whether there is a place for one more poll."""
    try:
        person.call("GET", "/poll", {"cursor": cursor, "timeout": 0})
    except Refused as refusal:
        if refusal.code == "too_many_sessions":
            return False
        raise
    return True


def test_polls_with_one_cursor_count_each_and_give_their_places_back_when_their_clients_are_gone(ann: Person) -> None:
    cursor = ann.call("GET", "/poll")["cursor"]
    polls: list[Poll] = []

    def are_taken() -> bool:
        if may_poll(ann, cursor):
            polls.append(Poll(ann, cursor))
            return False
        return True

    wait_for(are_taken, SOON, "all places to be taken")
    assert len(polls) >= PLACES
    for poll in polls:
        poll.hang_up()
    wait_for(lambda: may_poll(ann, cursor), SOON, "a place")


def test_who_hangs_up_is_handed_the_event_by_the_next_poll(ann: Person) -> None:
    cursor = ann.call("GET", "/poll")["cursor"]
    Poll(ann, cursor).hang_up()
    ann.send(ann, "later")
    events = ann.call("GET", "/poll", {"cursor": cursor, "timeout": 20})["events"]
    assert [event["data"]["content"] for event in events if event["event"] == "message"] == ["later"]


def test_a_second_poll_does_not_end_the_first(ann: Person) -> None:
    cursor = ann.call("GET", "/poll")["cursor"]
    head = {"Authorization": f"Bearer {ann.token}"}
    address = f"{ann.url}/api/v1/poll?timeout=15&cursor={cursor}"
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(requests.get, address, headers=head, timeout=20) for _ in range(2)]
        time.sleep(0.3)  # both wait by then; one that is late is answered at once, and the test passes, too
        ann.send(ann, "for both")
        for answer in answers:
            contents = [event["data"]["content"] for event in answer.result(SOON).json()["events"]]
            assert contents == ["for both"]
