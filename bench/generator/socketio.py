"""Socket.IO 4 (Engine.IO 4) over the WebSocket transport alone, as the peers speak it."""

import base64
import json
from typing import Any

from bench.generator.wire import ACK, ANSWER, DELIVERY, FILLING, OTHER, REFUSED, Reading, get_request, marked_number

__all__ = ["SocketIO"]

OPEN, PING, PONG = b"0", b"2", b"3"
CONNECT = b"40"
EVENT = b"42"
ANSWERED = b"43"
MESSAGE = b'42["message",'
PRESENCE = b'42["presence",'
SEPARATOR = b"\x1e"
POLLING = "/socket.io/?EIO=4&transport=polling"
GREETS, POLLS, PONGS = b"g", b"p", b"a"  # what a client who polls does next; its session's id follows
ERROR = b'{"error"'
SEND = b'42%d["message:send",{"%s":"%s","type":"text","content":"#!%010d' + FILLING + b'","localId":"%s-%d"}]'


class SocketIO:
    """See bench.generator.wire.Wire."""

    def upgrade(self, address: str, token: str) -> bytes:  # noqa: ARG002 - the token goes with CONNECT
        key = base64.b64encode(b"the benchmark's.").decode()
        return (
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def greet(self, payload: bytes, token: str) -> bytes | None:
        return CONNECT + json.dumps({"token": token}).encode() if payload.startswith(OPEN) else None

    def is_ready(self, payload: bytes) -> bool:
        return payload.startswith(CONNECT)

    def send(self, number: int, to: bytes, run: bytes) -> bytes:
        field, name = (b"groupId", to[6:]) if to.startswith(b"group:") else (b"toUser", to)
        return SEND % (number, field, name, number, run, number)

    def watch(self, number: int, users: list[str]) -> bytes:
        return self._event(number, "presence:watch", users)

    def create_group(self, number: int, name: str, members: list[str]) -> bytes:
        return self._event(number, "group:create", {"name": name, "memberIds": members})

    def _event(self, number: int, name: str, data: Any) -> bytes:
        return EVENT + b"%d" % number + json.dumps([name, data]).encode()

    def read(self, payload: bytes) -> Reading:
        if payload.startswith(MESSAGE):
            return DELIVERY, marked_number(payload), payload
        if payload.startswith(ANSWERED):
            bracket = payload.index(b"[")
            kind = REFUSED if payload.startswith(ERROR, bracket + 1) else ACK
            return kind, int(payload[len(ANSWERED) : bracket]), payload
        return (ANSWER, 0, PONG) if payload == PING else (OTHER, 0, payload)

    def created_id(self, payload: bytes) -> str:
        return str(json.loads(payload[payload.index(b"[") :])[0]["id"])

    def presence(self, payload: bytes) -> tuple[str, bool] | None:
        if not payload.startswith(PRESENCE):
            return None
        event = json.loads(payload[len(EVENT) :])[1]
        return event["userId"], event["online"]

    def ask_unread(self, address: str, token: str) -> bytes:
        return get_request(address, "/unread", token)

    def unread(self, body: bytes) -> tuple[int, int]:
        told = json.loads(body)
        return len(told["conversations"]), told["total"]

    def poll(self, address: str, token: str, stand: bytes) -> bytes:
        path = f"{POLLING}&sid={stand[1:].decode()}" if stand else POLLING
        if stand[:1] in (b"", POLLS):
            return get_request(address, path)
        body = PONG if stand[:1] == PONGS else CONNECT + json.dumps({"token": token}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def polled(self, body: bytes, stand: bytes) -> tuple[bytes, bool, list[Reading]]:
        if not stand:
            return GREETS + json.loads(body[1:])["sid"].encode(), False, []
        if stand[:1] != POLLS:
            return POLLS + stand[1:], False, []
        packets = body.split(SEPARATOR)
        readings = [self.read(packet) for packet in packets]
        pinged = PING in packets
        return (PONGS if pinged else POLLS) + stand[1:], any(map(self.is_ready, packets)), readings
