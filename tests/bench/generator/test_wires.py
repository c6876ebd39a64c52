import json

import pytest

from bench.generator.native import Native
from bench.generator.socketio import SocketIO
from bench.generator.wire import ACK, ANSWER, DELIVERY, OTHER, REFUSED, Wire

CONTENT = "#!0000000042" + "x" * 188


@pytest.mark.parametrize(
    ("payload", "kind", "number"),
    [
        (json.dumps({"event": "message", "data": {"content": CONTENT}}, separators=(",", ":")), DELIVERY, 42),
        (json.dumps({"event": "message", "data": {"content": "b7 joined"}}, separators=(",", ":")), OTHER, 0),
        (json.dumps({"re": 42, "data": {"content": CONTENT}}, separators=(",", ":")), ACK, 42),
        (json.dumps({"re": 42, "error": {"code": "overloaded"}}, separators=(",", ":")), REFUSED, 42),
        ('{"event":"message.updated","data":{"content":"' + CONTENT + '"}}', OTHER, 0),
        ('{"event":"cursor","data":{"cursor":"c"}}', OTHER, 0),
    ],
)
def test_native_payloads_are_told_apart(payload: str, kind: int, number: int) -> None:
    assert Native().read(payload.encode()) == (kind, number, payload.encode())


@pytest.mark.parametrize(
    ("payload", "kind", "number"),
    [
        (f'42["message",{{"content":"{CONTENT}"}}]', DELIVERY, 42),
        ('4342[{"id":"1"}]', ACK, 42),
        ('4342[{"error":"forbidden"}]', REFUSED, 42),
        ('42["presence",{"userId":"b1","online":true}]', OTHER, 0),
    ],
)
def test_socketio_payloads_are_told_apart(payload: str, kind: int, number: int) -> None:
    assert SocketIO().read(payload.encode()) == (kind, number, payload.encode())


def test_an_engineio_ping_is_answered_with_a_pong() -> None:
    assert SocketIO().read(b"2") == (ANSWER, 0, b"3")


@pytest.mark.parametrize("to", [b"b17", b"group:g17"])
def test_a_native_send_has_a_body_of_200_bytes_and_comes_back_as_its_number(to: bytes) -> None:
    command = json.loads(Native().send(42, to, b"run"))
    assert command["op"] == "message.send"
    assert command["id"] == 42
    assert command["data"].get("toUser") == ("b17" if to == b"b17" else None)
    assert command["data"].get("conversationId") == (None if to == b"b17" else "g17")
    assert command["data"]["content"] == CONTENT
    assert command["data"]["localId"] == "run-42"


def test_a_socketio_send_asks_for_an_ack_under_its_number() -> None:
    payload = SocketIO().send(42, b"group:g17", b"run")
    assert payload.startswith(b"4242[")
    name, data = json.loads(payload[4:])
    assert name == "message:send"
    assert data == {"groupId": "g17", "type": "text", "content": CONTENT, "localId": "run-42"}


@pytest.mark.parametrize(
    ("wire", "payload"),
    [
        (Native(), b'{"event":"presence","data":{"userId":"b1","online":false,"number":3}}'),
        (SocketIO(), b'42["presence",{"userId":"b1","online":false}]'),
    ],
)
def test_presence_is_understood(wire: Wire, payload: bytes) -> None:
    assert wire.presence(payload) == ("b1", False)
