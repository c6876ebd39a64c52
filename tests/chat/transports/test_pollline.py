"""Polls on one kept connection: answered outside the web server, which gets back what is none."""

import json
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from chat.transports import pollline
from chat.transports.deadlines import SLOT, Deadlines
from chat.transports.pollline import PollLine
from tests.clients.person import Person
from tests.deployment import Deployment, wait_for

PATIENCE = 15.0


class Line:
    """An HTTP client on a raw socket: one connection, kept."""

    def __init__(self, person: Person, port: int):
        self.person = person
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.cursor = ""
        self.rest = b""

    def head(self, method: str, path: str, more: str = "") -> bytes:
        return (
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: chat\r\nAuthorization: Bearer {self.person.token}\r\n{more}\r\n"
        ).encode()

    def poll(self, timeout: int = 20, more: str = "") -> None:
        """Send a poll."""
        query = f"?cursor={self.cursor}&timeout={timeout}" if self.cursor else ""
        self.sock.sendall(self.head("GET", f"/poll{query}", more))

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return the next answer: status, headers by lower-case name, and what its body says."""
        while b"\r\n\r\n" not in self.rest:
            self._read()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        while len(self.rest) < length:
            self._read()
        body, self.rest = self.rest[:length], self.rest[length:]
        said = json.loads(body)
        self.cursor = said.get("cursor", self.cursor)
        return int(first.split()[1]), headers, said

    def _read(self) -> None:
        data = self.sock.recv(65_536)
        assert data, "the server hung up"
        self.rest += data

    def told(self) -> list[str]:
        """Return the contents of the messages that the next answer brings."""
        status, _, said = self.answer()
        assert status == 200, said
        return [event["data"]["content"] for event in said["events"] if event["event"] == "message"]


@pytest.fixture
def line(deployment: Deployment, ann: Person) -> Iterator[Line]:
    """Ann's connection, on which a poll waits."""
    made = Line(ann, deployment.web.port)
    made.poll()
    assert [event["event"] for event in made.answer()[2]["events"]] == ["hello"]
    made.poll()
    yield made
    made.sock.close()


def test_polls_follow_each_other_on_one_connection(line: Line, ann: Person, bob: Person) -> None:
    for number in range(5):
        bob.send(ann, f"text {number}")
        assert line.told() == [f"text {number}"]
        line.poll()
    bob.send(ann, "last")
    assert line.told() == ["last"]


def test_every_answer_has_the_headers_of_the_long_way(line: Line, ann: Person, bob: Person) -> None:
    bob.send(ann, "one")
    _, quickly, _ = line.answer()
    line.sock.sendall(line.head("GET", f"/poll?timeout=0&cursor={line.cursor}"))  # spelled otherwise: by Flask
    _, slowly, _ = line.answer()
    for headers in (quickly, slowly):
        del headers["date"], headers["content-length"]
    assert quickly == slowly
    assert quickly["chat-session"]


def test_what_is_no_poll_is_served_on_the_same_connection(line: Line, ann: Person, bob: Person) -> None:
    for number in range(3):
        bob.send(ann, f"text {number}")
        assert line.told() == [f"text {number}"]
        line.sock.sendall(line.head("GET", "/users/me"))
        assert line.answer()[2]["id"] == ann.id
        body = b'{"conversations":{}}'
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        line.sock.sendall(line.head("POST", "/sync", more) + body)
        assert line.answer()[:3:2] == (200, {"conversations": {}})
        line.poll()


def test_a_request_behind_a_waiting_poll_is_answered_after_it(line: Line, ann: Person, bob: Person) -> None:
    line.sock.sendall(line.head("GET", "/users/me"))
    bob.send(ann, "hello")
    assert line.told() == ["hello"]
    assert line.answer()[2]["id"] == ann.id


def test_a_poll_in_pieces_is_understood(line: Line, ann: Person, bob: Person) -> None:
    bob.send(ann, "one")
    assert line.told() == ["one"]
    head = line.head("GET", f"/poll?cursor={line.cursor}&timeout=20")
    for piece in (head[:10], head[10:-3], head[-3:]):
        line.sock.sendall(piece)
        time.sleep(0.05)  # or the kernel joins them
    bob.send(ann, "two")
    assert line.told() == ["two"]


def test_a_poll_ends_with_its_time(line: Line, ann: Person, bob: Person) -> None:
    bob.send(ann, "one")
    assert line.told() == ["one"]
    begun = time.monotonic()
    line.poll(1)
    assert line.told() == []
    assert 0.8 < time.monotonic() - begun < 3


def test_a_poll_that_is_to_wait_for_nothing_does_not_wait_for_a_deadline(line: Line, ann: Person, bob: Person) -> None:
    bob.send(ann, "one")
    assert line.told() == ["one"]
    line.poll(0)
    assert line.told() == []
    begun = time.monotonic()
    for _ in range(100):
        line.poll(0)
        assert line.told() == []
    assert time.monotonic() - begun < 100 * SLOT / 2


def test_other_headers_are_understood_anew(line: Line, ann: Person, bob: Person) -> None:
    bob.send(ann, "one")
    assert line.told() == ["one"]
    line.sock.sendall(line.head("GET", f"/poll?cursor={line.cursor}").replace(b"Bearer ", b"Bearer nonsense"))
    status, _, said = line.answer()
    assert (status, said["error"]["code"]) == (401, "bad_token")
    line.poll(more="Origin: http://localhost:5173\r\n")
    bob.send(ann, "two")
    _, headers, said = line.answer()
    assert said["events"][0]["data"]["content"] == "two"
    assert headers["access-control-allow-origin"] == "http://localhost:5173"
    line.poll(more="Connection: close\r\n")
    bob.send(ann, "three")
    _, headers, _ = line.answer()
    assert headers["connection"] == "close"
    assert line.sock.recv(1) == b""


def test_a_client_that_hangs_up_gives_its_place_back(deployment: Deployment, ann: Person, bob: Person) -> None:
    lines = [Line(ann, deployment.web.port) for _ in range(4)]
    for line in lines:
        line.poll()
        line.answer()
        line.poll()
    late = Line(ann, deployment.web.port)

    def refused() -> bool:
        late.poll()
        status, _, said = late.answer()
        return status != 200 and bool(said["error"]["code"] == "too_many_sessions")

    wait_for(refused, PATIENCE, "the polls to be too many")
    for line in lines:
        line.sock.close()
    wait_for(lambda: not refused(), PATIENCE, "their places")
    late.poll()
    bob.send(ann, "hello")
    assert "hello" in late.told()
    late.sock.close()


def test_an_ended_login_is_told_so(line: Line, ann: Person) -> None:
    ann.call("POST", "/auth/logout")
    _, _, said = line.answer()
    assert said["events"][-1]["event"] == "bye"
    line.poll()
    assert line.answer()[0] == 401


def test_a_connection_at_rest_goes_back_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pollline, "IDLE_SECONDS", 0.05)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    given_back: list[Any] = []
    server = SimpleNamespace(draining=False, resume=lambda *given: given_back.append(given))
    environ = {
        "chat.head": b"GET /api/v1/poll?cursor=c HTTP/1.1\r\nHost: chat\r\n\r\n",
        "chat.server": server,
        "chat.peer": "whoever",
        "chat.detach": lambda: (ours, b""),
    }
    chain: Any = SimpleNamespace(ready=True, session=SimpleNamespace(id="s1"), join=lambda _: None, part=lambda _: None)
    line = PollLine(environ, [], lambda *_: False, lambda _: b"{}", Deadlines())
    line.wait_for(chain, 5)
    assert theirs.recv(1_000).endswith(b"Chat-Session: s1\r\n\r\n{}")
    with gevent.Timeout(PATIENCE):
        while not given_back:
            gevent.sleep(0.01)
    assert given_back == [(ours, "whoever", b"")]
    ours.close()
    theirs.close()
