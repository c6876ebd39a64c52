"""The webhook: signed, to one address and no further, and clear about what is worth another try."""

import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tasks.push import Later, channels, webhook
from tests.chat.world import DEFAULTS
from tests.deployment import free_port

SECRET = "a secret of the operator's, long enough"


class Receiver(HTTPServer):
    """What the operator runs. `taken`: (headers, body).

    `answers`: the status of each answer to come, then 204. `refused`: what a note holds that is not taken at first.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.taken: list[tuple[Any, bytes]] = []
        self.answers: list[int] = []
        self.refused = b""
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def status(self, body: bytes) -> int:
        if self.refused and self.refused in body:
            self.refused = b""
            return 503
        return self.answers.pop(0) if self.answers else 204

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class Asked(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.taken.append((self.headers, body))
        self.send_response(self.server.status(body))
        self.send_header("Location", self.server.url)
        self.end_headers()

    do_GET = do_POST  # noqa: N815 (the name that http.server looks for)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.end()


def settings(url: str) -> dict[str, Any]:
    return DEFAULTS | {"PUSH_WEBHOOK_URL": url, "PUSH_WEBHOOK_SECRET": SECRET}


def test_it_is_on_where_there_is_an_address() -> None:
    assert channels(DEFAULTS) == {}
    assert list(channels(settings("https://push.example"))) == ["webhook"]


def test_a_note_arrives_signed(receiver: Receiver) -> None:
    note = {"id": "1", "userId": "ann", "conversations": [{"content": "你好"}]}
    webhook.send(settings(receiver.url), note)
    ((headers, body),) = receiver.taken
    assert json.loads(body) == note
    moment, signature = (part.split("=")[1] for part in headers["X-Chat-Signature"].split(","))
    assert signature == hmac.new(SECRET.encode(), moment.encode() + b"." + body, "sha256").hexdigest()


@pytest.mark.parametrize(("status", "outcome"), [(500, Later), (503, Later), (429, Later), (400, ValueError), (410, ValueError)])  # fmt: skip  # noqa: E501
def test_what_is_refused_for_good_is_not_tried_again(receiver: Receiver, status: int, outcome: type[Exception]) -> None:
    receiver.answers = [status]
    with pytest.raises(outcome):
        webhook.send(settings(receiver.url), {})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_it_goes_nowhere_else(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with pytest.raises(Later):
        webhook.send(settings(receiver.url), {})
    assert len(receiver.taken) == 1


def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(Later):
        webhook.send(settings(f"http://127.0.0.1:{free_port()}/"), {})
