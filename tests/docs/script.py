"""The examples of docs/protocol.md, played against a server: who sends what, and what comes back.

A block fenced as ```chat is a script. `ann > …` is what Ann's client sends (a request, or a frame on her WebSocket),
`ann < …` what it gets: an HTTP answer (status and JSON), a frame, a line of a stream, or `close` and a number. A header
stands in brackets behind an address. `…` stands for anything: a value, the rest of an object or of a text. Times are
those of the moment; tokens, cursors and ids of sessions that a client gives back are those that it was given last.
"""

import contextlib
import http.client
import json
import queue
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import websocket

from tests.clients.lines import shut_down

__all__ = ["Player", "matches", "parse", "steps"]

PATIENCE = 20.0  # seconds
REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)(?: \(([^)]*)\))?(?: (\{.*\}))?\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
BLOCK = re.compile(r"^```chat\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"([a-z-]+) +([<>]) (.*)\Z")
REST_OF = "\0"  # the key that stands for all further ones
PASSING = {"cursor", "presence", "receipt", "typing", "unread"}  # come when they come: told where they are the topic
MOMENTARY = {"number"}  # fields whose numbers are those of the moment


def steps(document: Path) -> Iterator[tuple[str, str, str]]:
    """Return the steps of all scripts of a document in order: (who, `>` or `<`, what)."""
    for block in BLOCK.finditer(document.read_text()):
        for line in block[1].splitlines():
            step = STEP.fullmatch(line)
            assert step, f"no step: {line!r}"
            yield step[1], step[2], step[3]


def parse(text: str) -> Any:
    """Read JSON in which `…` may stand for the rest of an object, or for a value."""
    text = re.sub(r"([{,]\s*)…(\s*\})", r'\1"\\u0000": 0\2', text)
    text = re.sub(r"((?:[:\[,])\s*)…", r'\1"…"', text)
    return json.loads(text)


def matches(told: Any, got: Any, field: str = "") -> bool:
    """Tell whether what a server said is what the document says."""
    if isinstance(told, dict) and isinstance(got, dict):
        named = told.keys() - {REST_OF}
        return (named == got.keys() or (REST_OF in told and named < got.keys())) and all(
            matches(told[name], got[name], name) for name in named
        )
    if isinstance(told, list) and isinstance(got, list):
        return told == ["…"] or (len(told) == len(got) and all(map(matches, told, got)))
    if isinstance(told, str):
        if told == "…":
            return True
        if isinstance(got, str) and TIME.match(told):
            return bool(TIME.match(got))
        return isinstance(got, str) and (got.startswith(told[:-1]) if told.endswith("…") else got == told)
    return type(told) is type(got) and (told == got or field in MOMENTARY)


class Client:
    """One client: what it was given last (tokens, cursor, session), and its open connection if it has one."""

    def __init__(self, url: str):
        self.url = url
        self.given: dict[str, str] = {}
        self.came: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self._socket: websocket.WebSocket | None = None
        self._stream: http.client.HTTPConnection | None = None
        self._stream_socket: socket.socket | None = None  # http.client lets go of it
        self._thread: threading.Thread | None = None
        self._leaving = False

    def send(self, what: str) -> None:
        """Do a step of the client."""
        request = REQUEST.fullmatch(what)
        if what == "close":
            self.close()
        elif request is None:
            assert self._socket is not None
            self._socket.send(json.dumps(self._own(parse(what))))
        else:
            self._request(request[1], self._address(request[2]), self._head(request[3] or ""), request[4])

    def _request(self, method: str, address: str, head: dict[str, str], body: str | None) -> None:
        if "/ws" in address:
            self._socket = websocket.create_connection(address.replace("http", "ws", 1), header=head, timeout=PATIENCE)
            self._read(self._read_socket)
        elif "/stream" in address:
            place = urlsplit(address)
            self._stream = http.client.HTTPConnection(place.netloc, timeout=2 * PATIENCE)
            self._stream.request("GET", f"{place.path}?{place.query}", headers=head)
            self._stream_socket = self._stream.sock
            self._read(partial(self._read_stream, self._stream.getresponse()))
        else:
            data = self._own(parse(body)) if body else None
            answer = requests.request(method, address, json=data, headers=head, timeout=2 * PATIENCE)
            self.answers.put({"status": answer.status_code, "body": answer.json()})
            self._note(answer.json())

    def _own(self, value: Any) -> Any:
        """Put what was given last wherever the document shows something given."""
        if not isinstance(value, dict):
            return value
        own = {name: self.given.get("accessToken" if name == "token" else name, "") for name in value}
        return {name: own[name] if "…" in str(inner)[-1:] else self._own(inner) for name, inner in value.items()}

    def _address(self, path: str) -> str:
        return self.url + re.sub(r"(cursor|ticket)=[^&]*", lambda found: f"{found[1]}={self.given[found[1]]}", path)

    def _head(self, told: str) -> dict[str, str]:
        if told == "no token":
            return {}
        head = {"Authorization": f"Bearer {self.given.get('accessToken', '')}"}
        name, _, value = told.partition(": ")
        if name:
            own = {"Chat-Session": "sessionId", "Last-Event-ID": "cursor"}
            head[name] = self.given[own[name]] if "…" in value else value
        return head

    def _note(self, value: Any) -> None:
        """Remember what was given; in a poll's events, too."""
        for name in ("accessToken", "refreshToken", "ticket", "cursor", "sessionId"):
            if value.get(name):
                self.given[name] = value[name]
        for event in value.get("events", ()):
            if event["event"] == "hello":
                self.given["sessionId"] = event["data"]["sessionId"]

    def _read(self, reader: Any) -> None:
        self._thread = threading.Thread(target=reader, daemon=True)
        self._thread.start()

    def _read_socket(self) -> None:
        assert self._socket is not None
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    if not self._leaving:
                        self.came.put(f"close {int.from_bytes(data[:2], 'big')}")
                    return
                frame = json.loads(data)
                if frame.get("event") in ("hello", "cursor", "bye"):
                    self._note(frame["data"])
                self.came.put(frame)
        except (OSError, websocket.WebSocketException):
            return

    def _read_stream(self, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException), answer:
            while line := answer.readline():
                if line.startswith(b"id: "):
                    self.given["cursor"] = line[4:].decode().strip()
                if line.strip():
                    self.came.put(line.decode().strip())

    def close(self) -> None:
        """Hang up."""
        self._leaving = True
        if self._socket is not None:
            with contextlib.suppress(OSError, websocket.WebSocketException):  # the server was first
                self._socket.send_close()
        if self._stream is not None:
            shut_down(self._stream_socket)
        if self._thread is not None:
            self._thread.join(PATIENCE)
        if self._socket is not None:
            self._socket.shutdown()
        if self._stream is not None:
            self._stream.close()
        self._socket = self._stream = self._thread = None
        self._leaving = False


class Player:
    """Plays a script against the server at `url`."""

    def __init__(self, url: str):
        self._url = url
        self._clients: dict[str, Client] = {}

    def play(self, who: str, direction: str, what: str) -> None:
        """Do a step. Fails when something else comes than what the script says."""
        client = self._clients.setdefault(who, Client(self._url))
        if direction == ">":
            client.send(what)
        else:
            self._expect(client, f"{who} < {what}", what)

    def _expect(self, client: Client, step: str, what: str) -> None:
        came = client.answers if what[:3].isdecimal() else client.came
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                got = came.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"nothing came for: {step}") from None
            if _is(what, got):
                return
            assert _passes(got), f"{step}\nbut came: {json.dumps(got, ensure_ascii=False)}"

    def untold(self) -> dict[str, list[Any]]:
        """Return what came to each client that the script does not tell."""
        left = {who: [*client.came.queue, *client.answers.queue] for who, client in self._clients.items()}
        untold = {who: [got for got in came if not _passes(got)] for who, came in left.items()}
        return {who: more for who, more in untold.items() if more}

    def hang_up(self) -> None:
        """Close what is open."""
        for client in self._clients.values():
            client.close()


def _is(what: str, got: Any) -> bool:
    status, _, body = what.partition(" ")
    if status.isdecimal():
        return isinstance(got, dict) and got.get("status") == int(status) and matches(parse(body), got["body"])
    if what.startswith("data: "):
        return isinstance(got, str) and got.startswith("data: ") and matches(parse(what[6:]), json.loads(got[6:]))
    if isinstance(got, str):
        return matches(what, got)
    return what.startswith("{") and matches(parse(what), got)


def _passes(got: Any) -> bool:
    if isinstance(got, str):  # a line of a stream
        return got.startswith((":", "id:", "retry:", *(f'data: {{"event":"{name}"' for name in PASSING)))
    return got.get("event") in PASSING
