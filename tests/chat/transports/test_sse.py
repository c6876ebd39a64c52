"""Server-sent events over a real server: what an EventSource gets, resumes with, and is told at the end."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from chat.frames import CONVERSATION, Event
from chat.session import Session, State
from chat.transports.sse import ServerSentEvents
from tests.clients.person import Person
from tests.deployment import Web, wait_for

PATIENCE = 15.0


class Source:
    """An EventSource: blocks in order, with the id of each."""

    def __init__(self, url: str, token: str, *, query: str = "", **headers: str):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection.request("GET", f"/api/v1/stream{query}", headers=sent | headers)
        self.answer = self.connection.getresponse()
        self.last_id = ""
        self.comments = 0

    def event(self, name: str = "") -> dict[str, Any]:
        """Return the next event (of this name)."""
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end:
            found = self.block()
            assert found is not None, "the stream has ended"
            if found and name in ("", found["event"]):
                return found
        raise AssertionError(f"no {name or 'event'} came")

    def block(self) -> dict[str, Any] | None:
        """Return the next block's data, {} if it has none, None at the end."""
        data: dict[str, Any] = {}
        while (line := self.answer.readline()).rstrip(b"\n"):
            if line.startswith(b"id: "):
                self.last_id = line[4:].strip().decode()
            elif line.startswith(b"data: "):
                data = json.loads(line[6:])
            elif line.startswith(b":"):
                self.comments += 1
        return data if line else None

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def source(ann: Person) -> Iterator[Source]:
    made = Source(ann.url, ann.token)
    yield made
    made.close()


def test_a_stream_begins_with_hello_and_its_id_and_may_be_shown_to_no_cache(ann: Person, source: Source) -> None:
    assert source.answer.status == 200
    assert source.answer.headers["Content-Type"] == "text/event-stream"
    assert source.answer.headers["Cache-Control"] == "no-store"
    assert source.answer.headers["X-Accel-Buffering"] == "no"
    hello = source.event("hello")["data"]
    assert hello["user"]["id"] == ann.id
    assert source.last_id == hello["cursor"]


def test_a_message_comes_as_one_data_line_as_on_the_websocket(ann: Person, bob: Person, source: Source) -> None:
    source.event("hello")
    sent = bob.send(ann, "two\nlines")
    assert source.event("message")["data"] == sent


def test_a_cursor_comes_behind_messages_and_is_the_streams_id(ann: Person, bob: Person, source: Source) -> None:
    source.event("hello")
    bob.send(ann, "hello")
    cursor = source.event("cursor")["data"]["cursor"]
    assert source.last_id == cursor


def test_a_source_that_comes_back_by_itself_goes_on_behind_its_last_id(
    ann: Person, bob: Person, source: Source
) -> None:
    sessions = {source.event("hello")["data"]["sessionId"]}
    bob.send(ann, "one")
    source.event("cursor")
    source.close()
    bob.send(ann, "two")
    for again in (
        Source(ann.url, ann.token, **{"Last-Event-ID": source.last_id}),
        Source(ann.url, ann.token, query=f"?cursor={source.last_id}"),
    ):
        hello = again.event("hello")["data"]
        assert hello["resumed"] is True
        sessions.add(hello["sessionId"])
        found = again.event("message")
        assert found["data"]["content"] == "two"
        again.close()
    assert len(sessions) == 3, "each stream says whose it is"


@pytest.mark.parametrize(("token", "code"), [("", "not_authenticated"), ("nonsense", "bad_token")])
def test_who_does_not_say_who_they_are_is_answered_401(ann: Person, token: str, code: str) -> None:
    source = Source(ann.url, token)
    assert source.answer.status == 401
    assert json.loads(source.answer.read())["error"]["code"] == code
    source.close()


def test_a_page_of_our_origins_may_read_it(ann: Person) -> None:
    source = Source(ann.url, ann.token, Origin="http://localhost:3000")
    assert source.answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert source.answer.headers["Access-Control-Allow-Credentials"] == "true"
    source.close()


def test_the_end_of_the_login_is_told_and_ends_the_stream(ann: Person, source: Source) -> None:
    source.event("hello")
    ann.call("POST", "/auth/logout")
    assert source.event("bye")["data"]["code"] == "login_ended"
    begun = time.monotonic()
    assert source.block() is None
    assert time.monotonic() - begun < 2


def test_a_quiet_stream_gets_comments_and_lives_on(hasty: Web) -> None:
    ann = Person(hasty.url)
    source = Source(ann.url, ann.token)
    source.event("hello")
    while source.comments < 3:
        assert source.block() is not None
    ann.send(ann, "still here")
    assert source.event("message")["data"]["content"] == "still here"
    source.close()


def test_what_the_other_end_acknowledged_counts_as_delivered(ann: Person, bob: Person, source: Source) -> None:
    source.event("hello")
    conversation = bob.send(ann, "hello")["conversationId"]

    def delivered() -> bool:
        return bool(bob.call("GET", f"/conversations/{conversation}")["peer"]["deliveredSeq"])

    wait_for(delivered, 10, "the delivered position")


def test_a_backlog_larger_than_the_outbox_comes_in_order_to_a_reader_that_takes_its_time(
    ann: Person, bob: Person
) -> None:
    source = Source(ann.url, ann.token)
    source.event("hello")
    conversation = bob.send(ann, "000")["conversationId"]
    source.event("cursor")
    source.close()
    content = "x" * 4_500
    for number in range(1, 150):
        bob.send(ann, f"{number:03}{content}")
    again = Source(ann.url, ann.token, **{"Last-Event-ID": source.last_id})
    again.connection.close()
    seqs: list[int] = []
    while seqs[-1:] != [150]:
        found = again.event()
        messages = found["data"].get("messages", [found["data"]])
        seqs += [
            message["seq"] for message in messages if message.get("conversationId") == conversation and "seq" in message
        ]
        time.sleep(0.002)
    assert seqs == list(range(seqs[0], 151))  # by the database's clock, so perhaps with what was had already
    assert seqs[0] <= 2
    again.close()


# One stream alone, on a pair of sockets.


class Proofs:
    """A node that keeps what was proved."""

    def __init__(self) -> None:
        self.config = {"OUTBOX_BYTES": 262_144, "OUTBOX_TOTAL_BYTES": 1 << 28}
        self.hub = self
        self.dirty: list[Any] = []
        self.slow: set[Any] = set()
        self.backlog = 0
        self.proofs = 0

    def proved(self, session: Session) -> None:
        self.proofs += 1


def connected() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    near.setblocking(False)
    return near, far


def test_a_ping_is_no_proof_until_the_other_end_has_acknowledged_it() -> None:
    near, far = connected()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    node = Proofs()
    carrier = ServerSentEvents(node, near)
    carrier.session = Session("s", carrier, 0.0)
    carrier.session.state = State.LIVE
    for change in range(1, 40):
        carrier.event(Event("message", b'"%b"' % (b"x" * 1_000), CONVERSATION, 1, change=change, seq=change))
    carrier.ping()
    carrier.flush()
    carrier.look()
    assert node.proofs == 0  # in the kernel, or not even there
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: far.recv(65_536), b"")])
    reader.start()

    def proved() -> bool:
        carrier._writable()
        carrier.look()
        return node.proofs == 1

    wait_for(proved, 10, "the proof")
    carrier.look()
    assert node.proofs == 1
    carrier.end()
    reader.join()
    far.close()
