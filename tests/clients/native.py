"""A native client over any carrier: keeps a cursor, comes back, resends what was not acked, merges by `change`.

`Person` is a user with tokens and REST; `Client` is one device of a person on one carrier at a time. What a client has is
in `entries` (by conversation and seq), what it saw, in order, in `seen`.
"""

import json
import threading
import time
import uuid
from typing import Any

import jwt
import requests
import websocket

from tests.deployment import SECRET, wait_for

PATIENCE = 20.0  # seconds


class Refused(Exception):
    """The server's refusal: `code` is its stable word."""

    def __init__(self, error: dict[str, Any]):
        self.code = error["code"]
        self.error = error
        super().__init__(str(error))


class Person:
    """A user, known by a token of the host application."""

    def __init__(self, url: str, name: str = ""):
        self.url = url
        self.id = name or f"t{uuid.uuid4().hex[:12]}"
        self.token = self.make_token()
        self._http = requests.Session()
        self.call("GET", "/users/me")

    def make_token(self) -> str:
        """Return a token of a login of its own."""
        now = int(time.time())
        return jwt.encode(
            {"sub": self.id, "name": self.id, "jti": uuid.uuid4().hex, "iat": now, "exp": now + 3_600}, SECRET, "HS256"
        )

    def call(self, method: str, path: str, data: Any = None, token: str = "", **headers: str) -> Any:
        """Call a REST route and return its answer. Raises Refused."""
        head = {"Authorization": f"Bearer {token or self.token}", **headers}
        more = {"params": data} if method == "GET" else {"json": data}
        answer = self._http.request(method, f"{self.url}/api/v1{path}", headers=head, timeout=PATIENCE, **more)
        value = answer.json() if answer.content else None
        if not answer.ok:
            raise Refused(value["error"])
        return value

    def send(self, to: "Person | str", content: str, **more: Any) -> Any:
        """Send a message over REST, to a person or a conversation."""
        path = f"/users/{to.id}/messages" if isinstance(to, Person) else f"/conversations/{to}/messages"
        return self.call("POST", path, {"content": content, **more})

    def group(self, *members: "Person", **more: Any) -> str:
        """Make a group and return its id."""
        return str(
            self.call("POST", "/groups", {"name": "group", "memberIds": [member.id for member in members], **more})[
                "id"
            ]
        )

    def history(self, conversation: str) -> list[dict[str, Any]]:
        """Return everything that this person may read of a conversation, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            before = {"before": found[0]["seq"]} if found else {}
            page = self.call("GET", f"/conversations/{conversation}/messages", {"limit": 100, **before})
            found = page["messages"] + found
            if not page["hasMore"]:
                return found


class Client:
    """One device on the WebSocket. `auto`: comes back by itself with its cursor until `close`."""

    def __init__(self, person: Person, *, url: str = "", cursor: str = "", auto: bool = False):
        self.person = person
        self.url = url or person.url
        self.token = person.make_token()
        self.cursor = cursor
        self.auto = auto
        self.hello: dict[str, Any] = {}
        self.bye: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []
        self.entries: dict[tuple[str, int], dict[str, Any]] = {}
        self._replies: dict[Any, Any] = {}
        self._number = 0
        self._closed = False
        self._socket: websocket.WebSocket | None = None
        self.close_code: int | None = None
        self.connect()

    def connect(self) -> None:
        """Open the WebSocket and read it in a thread."""
        address = self.url.replace("http", "ws", 1) + "/ws" + (f"?cursor={self.cursor}" if self.cursor else "")
        self.hello, self.close_code = {}, None
        self._socket = websocket.create_connection(
            address, header=[f"Authorization: Bearer {self.token}"], timeout=PATIENCE
        )
        threading.Thread(target=self._read, args=(self._socket,), daemon=True).start()
        wait_for(lambda: self.hello or self.close_code is not None, PATIENCE, "hello")

    def post(self, op: str, number: Any = None, /, **data: Any) -> Any:
        """Send a command and return its number without waiting."""
        self._number += 1
        number = self._number if number is None else number
        assert self._socket is not None
        self._socket.send(json.dumps({"op": op, "id": number, "data": data}))
        return number

    def reply(self, number: Any) -> Any:
        """Wait for the answer to a command and return its data. Raises Refused."""
        answer = wait_for(lambda: self._replies.get(number), PATIENCE, f"the answer to {number}")
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["data"]

    def ask(self, op: str, /, **data: Any) -> Any:
        """Send a command and return its answer."""
        return self.reply(self.post(op, **data))

    def send(self, to: Person | str, content: str, **more: Any) -> Any:
        """Send a message to a person or a conversation, and return it once it is acked."""
        place = {"toUser": to.id} if isinstance(to, Person) else {"conversationId": to}
        message = self.ask("message.send", content=content, **place, **more)
        self._keep(message)
        return message

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the data of the events of this name that were seen."""
        return [event["data"] for event in list(self.seen) if event["event"] == name]

    def wait(self, name: str, test: Any = lambda data: True, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for an event of this name that passes the test, and return its data."""
        found: dict[str, Any] = wait_for(
            lambda: next((data for data in self.events(name) if test(data)), None), seconds, f"event {name}"
        )
        return found

    def wait_content(self, content: str) -> None:
        """Wait until this client has a message of this text, however it came."""
        wait_for(
            lambda: any(entry["content"] == content for entry in list(self.entries.values())),
            PATIENCE,
            f"message {content!r}",
        )

    def contents(self, conversation: str) -> list[str]:
        """Return the texts this client has of a conversation, by seq."""
        return [self.entries[key]["content"] for key in sorted(self.entries) if key[0] == conversation]

    def cut(self) -> None:
        """Lose the connection without a word."""
        assert self._socket is not None
        self._socket.shutdown()

    def close(self) -> None:
        """Close as a browser does."""
        self._closed = True
        if self._socket is not None:
            self._socket.close(timeout=2)

    def _read(self, sock: websocket.WebSocket) -> None:
        while True:
            try:
                opcode, data = sock.recv_data()
            except (OSError, websocket.WebSocketException):
                self.close_code = self.close_code or 1006
                break
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.close_code = int.from_bytes(data[:2], "big") or 1005
                break
            self._take(json.loads(data))
        if self.auto and not self._closed:
            self._come_back()

    def _come_back(self) -> None:
        while not self._closed:
            time.sleep(0.05)
            try:
                self.connect()
            except (OSError, websocket.WebSocketException, AssertionError):
                continue
            return

    def _take(self, frame: dict[str, Any]) -> None:
        if "re" in frame:
            self._replies[frame["re"]] = frame
            return
        name, data = frame["event"], frame["data"]
        self.seen.append(frame)
        if name in ("hello", "cursor"):
            self.cursor = data["cursor"]
            self.hello = data if name == "hello" else self.hello
        elif name == "bye":
            self.bye = data
            self.cursor = data.get("cursor", self.cursor)
        for message in (
            data["messages"] if name == "offline.batch" else [data] if name in ("message", "message.updated") else []
        ):
            self._keep(message)

    def _keep(self, message: dict[str, Any]) -> None:
        key = (message["conversationId"], message["seq"])
        if key not in self.entries or self.entries[key]["change"] < message["change"]:
            self.entries[key] = message
