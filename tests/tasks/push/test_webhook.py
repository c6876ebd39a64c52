"""The webhook: signed, to one address and no further, and clear about what is worth another try."""

import hmac
import json
from typing import Any

import pytest

from tasks.push import Later, channels, webhook
from tests.chat.world import DEFAULTS
from tests.deployment import free_port
from tests.tasks.receiver import SECRET, Receiver


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
