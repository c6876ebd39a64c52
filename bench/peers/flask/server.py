"""A chat on Flask-SocketIO and gevent as its documentation would have it: the peer that most Flask users have today.

`python server.py [--nodelay]` serves PORT until it is told to stop, with DATABASE_URL, REDIS_URL and JWT_SECRET from
the environment. `--nodelay` sets TCP_NODELAY on the listener, which socketio.run() does not: without it Nagle's
algorithm and the client's delayed ACK hold a lone answer for some 40 ms.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import Any  # noqa: E402

import flask_socketio  # noqa: E402
import jwt  # noqa: E402
import psycopg_pool  # noqa: E402
import redis  # noqa: E402
from flask import Flask, request  # noqa: E402

MAX_CONTENT = 5000  # characters
POOL = 10  # database connections; PostgreSQL has one core in the benchmark
BACKLOG = 1024  # connections that the kernel holds until they are accepted

INSERT = """INSERT INTO messages (id, conversation_id, sender_id, local_id, type, content, created_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
KNOWN = "SELECT id, created_at FROM messages WHERE conversation_id = %s AND sender_id = %s AND local_id = %s"
CREATE_GROUP = """WITH made AS (INSERT INTO groups (id, name) VALUES (%s, %s) RETURNING id)
                  INSERT INTO members (group_id, user_id) SELECT made.id, u FROM made, unnest(%s::text[]) u"""

app = Flask(__name__)
socketio = flask_socketio.SocketIO(
    app,
    async_mode="gevent",
    transports=["websocket", "polling"],
    http_compression=False,
    max_http_buffer_size=64 * 1024,
)
pool = psycopg_pool.ConnectionPool(
    os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL, kwargs={"autocommit": True, "prepare_threshold": 0}
)
counters = redis.Redis.from_url(os.environ["REDIS_URL"])
users: dict[str, str] = {}  # by Socket.IO session, as long as it is connected
sessions: dict[str, set[str]] = {}  # the same the other way round
members: dict[str, set[str]] = {}  # by group; one process, so nothing goes stale
last_id = 0


class RefusedError(Exception):
    """The client asked for what cannot be done; the text is the code that it is told."""


def claims_of(token: str) -> dict[str, Any]:
    """Read a token. Raises InvalidTokenError."""
    options: Any = {"require": ["exp"]}
    claims: dict[str, Any] = jwt.decode(token, os.environ["JWT_SECRET"], algorithms=["HS256"], options=options)
    return claims


@app.get("/unread")
def unread() -> dict[str, Any]:
    """How much the token's user has not read: a number per conversation, and the sum."""
    user = claims_of(request.headers["Authorization"].removeprefix("Bearer "))["sub"]
    conversations = {name.decode(): int(count) for name, count in counters.hgetall(f"unread:{user}").items()}
    return {"total": sum(conversations.values()), "conversations": conversations}


@socketio.on("connect")
def connect(auth: dict[str, str]) -> None:
    """Admit who has a token, into the rooms of the user and of their groups."""
    try:
        claims = claims_of(auth["token"])
    except (jwt.InvalidTokenError, KeyError, TypeError) as error:
        raise flask_socketio.ConnectionRefusedError("unauthorized") from error
    user = users[request.sid] = claims["sub"]
    sessions.setdefault(user, set()).add(request.sid)
    flask_socketio.join_room(f"user:{user}")
    with pool.connection() as connection:
        for (group,) in connection.execute("SELECT group_id FROM members WHERE user_id = %s", [user]):
            flask_socketio.join_room(f"group:{group}")
    tell_presence(user)


@socketio.on("disconnect")
def disconnect(_reason: str) -> None:
    """Forget the session, and tell who watches the user."""
    user = users.pop(request.sid)
    sessions[user].discard(request.sid)
    if not sessions[user]:
        del sessions[user]
    tell_presence(user)


@socketio.on("presence:watch")
def watch_presence(ids: list[str]) -> dict[str, str]:
    """From now on tell this session who of these users comes and goes."""
    for user in ids[:200]:
        flask_socketio.join_room(f"presence:{user}")
    return {}


def tell_presence(user: str) -> None:
    """Tell the watchers of a user whether any session is left."""
    socketio.emit("presence", {"userId": user, "online": user in sessions}, to=f"presence:{user}")


@socketio.on("group:create")
def create_group(data: dict[str, Any]) -> dict[str, str]:
    """Make a group of the caller and the named users."""
    group = f"g{uuid.uuid4()}"
    everybody = {users[request.sid], *data["memberIds"]}
    with pool.connection() as connection:
        connection.execute(CREATE_GROUP, [group, data["name"], list(everybody)])
    members[group] = everybody
    for sid in [sid for user in everybody for sid in sessions.get(user, ())]:
        flask_socketio.join_room(f"group:{group}", sid=sid, namespace="/")
    return {"id": group}


@socketio.on("message:send")
def send(data: dict[str, Any]) -> dict[str, str]:
    """Store, count and deliver one message; the answer is the ack."""
    try:
        message = compose(users[request.sid], data)
        room, recipients = find_recipients(message["senderId"], data)
        known = store(message)
    except RefusedError as refusal:
        return {"error": str(refusal)}
    if known is None:
        count_unread(message["conversationId"], recipients)
        flask_socketio.emit("message", message, to=room, include_self=False)
    return known or {"id": message["id"], "createdAt": message["createdAt"]}


def compose(user: str, data: dict[str, Any]) -> dict[str, str]:
    """Check what came and make the message of it, without id and time."""
    if not is_text(data["content"], MAX_CONTENT) or not is_text(data["localId"], 64) or data["type"] != "text":
        raise RefusedError("invalid_message")
    conversation = data.get("groupId") or "p:" + ":".join(sorted((user, data["toUser"])))
    fields = {"conversationId": conversation, "senderId": user, "localId": data["localId"]}
    return fields | {"type": data["type"], "content": data["content"]}


def is_text(value: object, limit: int) -> bool:
    """Whether this is a string of 1 to `limit` characters."""
    return isinstance(value, str) and 0 < len(value) <= limit


def find_recipients(sender: str, data: dict[str, Any]) -> tuple[str, list[str]]:
    """The room to deliver to and the users whose unread count rises."""
    if "groupId" not in data:
        return f"user:{data['toUser']}", [data["toUser"]]
    group = members.get(data["groupId"]) or load_members(data["groupId"])
    if sender not in group:
        raise RefusedError("forbidden")
    return f"group:{data['groupId']}", [user for user in group if user != sender]


def load_members(group: str) -> set[str]:
    """Read a group's members and keep them."""
    with pool.connection() as connection:
        rows = connection.execute("SELECT user_id FROM members WHERE group_id = %s", [group])
        members[group] = {user for (user,) in rows}
    return members[group]


def store(message: dict[str, str]) -> dict[str, str] | None:
    """Commit the message, with its id and time; the first answer if this localId is known, else None."""
    message["id"], message["createdAt"] = next_id(), datetime.now(UTC).isoformat()
    place = [message["conversationId"], message["senderId"], message["localId"]]
    row = [message["id"], *place, message["type"], message["content"], message["createdAt"]]
    with pool.connection() as connection:
        if connection.execute(INSERT, row).rowcount:
            return None
        known, created = connection.execute(KNOWN, place).fetchone() or ("", "")
        return {"id": str(known), "createdAt": str(created)}


def next_id() -> str:
    """Rises strictly, also over restarts."""
    global last_id
    last_id = max(last_id + 1, int(time.time() * 1000) * 4096)
    return str(last_id)


def count_unread(conversation: str, recipients: list[str]) -> None:
    """One more unread for each recipient."""
    pipeline = counters.pipeline(transaction=False)
    for user in recipients:
        pipeline.hincrby(f"unread:{user}", conversation, 1)
    pipeline.execute()


def serve(nodelay: bool) -> None:
    """Serve until the process is told to stop."""
    if not nodelay:
        socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_output=False)
        return
    from gevent import pywsgi

    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pywsgi.WSGIServer(listener, app, log=None).serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodelay", action="store_true", help="set TCP_NODELAY on the listener")
    serve(parser.parse_args().nodelay)
