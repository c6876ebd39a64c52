"""This server's own wire language, `chat.v1`: JSON commands, replies and events over `/ws`."""

import base64
import json

from bench.generator.wire import (
    ACK,
    DELIVERY,
    DIGITS,
    FILLING,
    MARK,
    OTHER,
    REFUSED,
    Reading,
    get_request,
    marked_number,
)

__all__ = ["Native"]

REPLY = b'{"re":'
MESSAGE = b'{"event":"message",'
ERROR = b'"error"'
CURSOR = b'"cursor":"'
HELLO = b'{"event":"hello"'

SEND = (
    b'{"op":"message.send","id":%d,"data":{"%s":"%s","type":"text","content":"#!%010d'
    + FILLING
    + b'","localId":"%s-%d"}}'
)


class Native:
    """See bench.generator.wire.Wire."""

    def upgrade(self, address: str, token: str) -> bytes:
        key = base64.b64encode(b"the benchmark's.").decode()
        return (
            f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()

    def greet(self, payload: bytes, token: str) -> bytes | None:  # noqa: ARG002 - the token went with the upgrade
        return None

    def is_ready(self, payload: bytes) -> bool:
        return payload.startswith(HELLO)

    def send(self, number: int, to: bytes, run: bytes) -> bytes:
        field, name = (b"conversationId", to[6:]) if to.startswith(b"group:") else (b"toUser", to)
        return SEND % (number, field, name, number, run, number)

    def watch(self, number: int, users: list[str]) -> bytes | None:  # noqa: ARG002 - private peers are told unasked
        return None

    def create_group(self, number: int, name: str, members: list[str]) -> bytes:
        return json.dumps({"op": "group.create", "id": number, "data": {"name": name, "memberIds": members}}).encode()

    def read(self, payload: bytes) -> Reading:
        if payload.startswith(MESSAGE) and MARK in payload:  # without it: a notice, that somebody joined
            return DELIVERY, marked_number(payload), payload
        if payload.startswith(REPLY):
            comma = payload.index(b",", len(REPLY))
            kind = REFUSED if payload.startswith(ERROR, comma + 1) else ACK
            return kind, int(payload[len(REPLY) : comma]), payload
        return OTHER, 0, payload

    def created_id(self, payload: bytes) -> str:
        return str(json.loads(payload)["data"]["id"])

    def presence(self, payload: bytes) -> tuple[str, bool] | None:
        event = json.loads(payload)
        if event.get("event") != "presence":
            return None
        return event["data"]["userId"], event["data"]["online"]

    def ask_unread(self, address: str, token: str) -> bytes:
        return get_request(address, "/api/v1/unread", token)

    def unread(self, body: bytes) -> tuple[int, int]:
        told = json.loads(body)
        return len(told["conversations"]), told["total"]

    def poll(self, address: str, token: str, stand: bytes) -> bytes:
        return get_request(address, f"/api/v1/poll?cursor={stand.decode()}" if stand else "/api/v1/poll", token)

    def polled(self, body: bytes, stand: bytes) -> tuple[bytes, bool, list[Reading]]:  # noqa: ARG002
        at = body.rindex(CURSOR) + len(CURSOR)
        numbers = [int(part[:DIGITS]) for part in body.split(MARK)[1:]]
        return body[at : body.index(b'"', at)], True, [(DELIVERY, number, b"") for number in numbers]
