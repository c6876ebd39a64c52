"""A user with a token of the host application, and the REST routes."""

import time
import uuid
from typing import Any

import jwt
import requests

from tests.deployment import SECRET

__all__ = ["PATIENCE", "Lost", "Person", "Refused", "call_rest"]

PATIENCE = 20.0  # seconds that anything may take on a machine that others use, too
ROUTES = {  # the verbs of the live protocol as REST has them; fields named in the path leave the body
    "message.send": ("POST", "/conversations/{conversationId}/messages"),
    "message.send to a user": ("POST", "/users/{toUser}/messages"),
    "read": ("POST", "/conversations/{conversationId}/read"),
    "delivered": ("POST", "/conversations/{conversationId}/delivered"),
    "history": ("GET", "/conversations/{conversationId}/messages"),
    "conversation.list": ("GET", "/conversations"),
    "sync": ("POST", "/sync"),
    "unread": ("GET", "/unread"),
    "unread.read": ("POST", "/unread/read"),
    "typing": ("POST", "/conversations/{conversationId}/typing"),
    "conversation.clear": ("DELETE", "/conversations/{conversationId}"),
    "conversation.get": ("GET", "/conversations/{conversationId}"),
    "conversation.members": ("GET", "/conversations/{conversationId}/members"),
    "conversation.update": ("PATCH", "/conversations/{conversationId}"),
    "group.add": ("POST", "/groups/{groupId}/members"),
    "group.delete": ("DELETE", "/groups/{groupId}"),
    "group.join": ("POST", "/groups/{groupId}/join"),
    "group.leave": ("POST", "/groups/{groupId}/leave"),
    "group.mute": ("PUT", "/groups/{groupId}/members/{userId}/mute"),
    "group.remove": ("DELETE", "/groups/{groupId}/members/{userId}"),
    "group.role": ("PUT", "/groups/{groupId}/members/{userId}/role"),
    "group.transfer": ("POST", "/groups/{groupId}/transfer"),
    "group.update": ("PATCH", "/groups/{groupId}"),
}


class Refused(Exception):  # noqa: N818 (what happened)
    """The server's refusal: `code` is its stable word."""

    def __init__(self, error: dict[str, Any]):
        self.code = error["code"]
        self.error = error
        super().__init__(str(error))


class Lost(Exception):  # noqa: N818
    """The connection is gone, or could not be made. Whether what was asked took effect is not known."""


class Person:
    """A user, known by a token of the host application. `acked` keeps the messages that REST answered with."""

    def __init__(self, url: str, name: str = ""):
        self.url = url
        self.id = name or f"t{uuid.uuid4().hex[:12]}"
        self.token = self.make_token()
        self.acked: list[dict[str, Any]] = []
        self._http = requests.Session()
        self.call("GET", "/users/me")

    def make_token(self) -> str:
        """Return a token of a login of its own."""
        now = int(time.time())
        return jwt.encode(
            {"sub": self.id, "name": self.id, "jti": uuid.uuid4().hex, "iat": now, "exp": now + 3_600}, SECRET, "HS256"
        )

    def call(self, method: str, path: str, data: Any = None, token: str = "", url: str = "", **headers: str) -> Any:
        """Call a REST route and return its answer. Raises Refused or Lost."""
        return call_rest(self._http, url or self.url, token or self.token, method, path, data, headers)

    def ask(self, op: str, /, **data: Any) -> Any:
        """Run a verb over REST and return its answer. Raises Refused or Lost."""
        return self.call(*route(op, data))

    def ask_as(self, url: str, token: str, op: str, data: dict[str, Any]) -> Any:
        """Do the same with the token of one device, at any server. Raises Refused or Lost."""
        method, path, body = route(op, data)
        return self.call(method, path, body, token, url)

    def send(self, to: "Person | str", content: str, **more: Any) -> Any:
        """Send a message over REST, to a person or a conversation."""
        place = {"toUser": to.id} if isinstance(to, Person) else {"conversationId": to}
        message = self.ask("message.send", content=content, **place, **more)
        self.acked.append(message)
        return message

    def group(self, *members: "Person", **more: Any) -> str:
        """Make a group and return its id."""
        return str(
            self.call("POST", "/groups", {"name": "group", "memberIds": [member.id for member in members], **more})[
                "id"
            ]
        )

    def add(self, group: str, *members: "Person") -> None:
        """Let people into a group."""
        self.call("POST", f"/groups/{group}/members", {"userIds": [member.id for member in members]})

    def remove(self, group: str, member: "Person") -> None:
        """Take somebody out of a group."""
        self.call("DELETE", f"/groups/{group}/members/{member.id}")

    def upload(self, data: bytes, url: str = "") -> dict[str, Any]:
        """Upload a file and return its media. Raises Refused or Lost."""
        files = {"media": ("a.jpg", data)}
        found: dict[str, Any] = call_rest(self._http, url or self.url, self.token, "POST", "/uploads", files=files)
        return found

    def history(self, conversation: str) -> list[dict[str, Any]]:
        """Return everything that this person may read of a conversation, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            before = {"before": found[0]["seq"]} if found else {}
            page = self.ask("history", conversationId=conversation, limit=100, **before)
            found = page["messages"] + found
            if not page["hasMore"]:
                return found

    def unread(self) -> dict[str, int]:
        """Return how much is unread, by conversation; where nothing is, nothing."""
        return {wire_id: row["unread"] for wire_id, row in self.ask("unread")["conversations"].items()}

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()


def route(op: str, data: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and body of a verb."""
    method, path = ROUTES["message.send to a user" if "toUser" in data else op]
    return method, path.format(**data), {name: value for name, value in data.items() if "{" + name + "}" not in path}


def call_rest(
    http: requests.Session,
    url: str,
    token: str,
    method: str,
    path: str,
    data: Any = None,
    headers: dict[str, str] | None = None,
    files: dict[str, Any] | None = None,
) -> Any:
    """Call a REST route and return its answer. Raises Refused or Lost."""
    head = {"Authorization": f"Bearer {token}", **(headers or {})}
    more = {"files": files} if files else {"params" if method == "GET" else "json": data}
    try:
        answer = http.request(method, f"{url}/api/v1{path}", headers=head, timeout=PATIENCE, **more)
        value = answer.json() if answer.content else None
    except requests.RequestException as error:
        raise Lost(str(error)) from error
    if not answer.ok:
        raise Refused(value["error"])
    return value
