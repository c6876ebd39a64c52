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


def test_a_native_poller_goes_on_from_the_cursor_that_it_was_given() -> None:
    wire = Native()
    first = wire.poll("h:1", "t0k", b"")
    assert first.startswith(b"GET /api/v1/poll HTTP/1.1\r\n")
    assert b"Authorization: Bearer t0k\r\n" in first
    stand, ready, readings = wire.polled(b'{"events":[{"event":"hello"}],"cursor":"c-1"}', b"")
    assert (stand, ready, readings) == (b"c-1", True, [])
    assert wire.poll("h:1", "t0k", stand).startswith(b"GET /api/v1/poll?cursor=c-1 HTTP/1.1\r\n")
    event = f'{{"event":"message","data":{{"content":"{CONTENT}"}}}}'
    body = f'{{"events":[{event},{event}],"cursor":"c-2"}}'.encode()
    stand, _, readings = wire.polled(body, stand)
    assert (stand, [(kind, number) for kind, number, _ in readings]) == (b"c-2", [(DELIVERY, 42)] * 2)


def test_a_socketio_poller_opens_greets_polls_and_answers_pings() -> None:
    wire = SocketIO()
    assert wire.poll("h:1", "t0k", b"").startswith(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n")
    stand, ready, _ = wire.polled(b'0{"sid":"S1","upgrades":[]}', b"")
    assert not ready
    greeting = wire.poll("h:1", "t0k", stand)
    assert greeting.startswith(b"POST /socket.io/?EIO=4&transport=polling&sid=S1 HTTP/1.1\r\n")
    assert greeting.endswith(b'\r\n\r\n40{"token": "t0k"}')
    stand, ready, _ = wire.polled(b"ok", stand)
    assert not ready
    assert wire.poll("h:1", "t0k", stand).startswith(b"GET /socket.io/?EIO=4&transport=polling&sid=S1 ")
    stand, ready, _ = wire.polled(b'40{"sid":"x"}', stand)
    assert ready
    event = f'42["message",{{"content":"{CONTENT}"}}]'
    stand, _, readings = wire.polled(f"{event}\x1e2".encode(), stand)
    assert [(kind, number) for kind, number, _ in readings] == [(DELIVERY, 42), (ANSWER, 0)]
    assert wire.poll("h:1", "t0k", stand).endswith(b"\r\n\r\n3")
    stand, _, _ = wire.polled(b"ok", stand)
    assert wire.poll("h:1", "t0k", stand).startswith(b"GET ")


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (Native(), b'{"total":5,"conversations":{"g1":{"unread":2},"g2":{"unread":3}},"notifications":0}'),
        (SocketIO(), b'{"total":5,"conversations":{"g1":2,"g2":3}}'),
    ],
)
def test_unread_answers_are_read_as_conversations_and_sum(wire: Wire, body: bytes) -> None:
    assert wire.unread(body) == (2, 5)
    assert b"Authorization: Bearer t0k\r\n" in wire.ask_unread("h:1", "t0k")
