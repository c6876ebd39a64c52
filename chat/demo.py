"""A few people, groups and messages to try the server with; made through the same commands as everybody's.

Nothing is made twice: people by their user names, groups by theirs, messages by their `localId`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
import orjson

from chat.demo_picture import lake
from chat.frames import Caller, Command
from chat.services import accounts
from chat.transaction import Transaction, run_in_transaction

__all__ = ["PASSWORD", "PEOPLE", "fill_in"]

PASSWORD = "chat-demo"  # noqa: S105 - printed for whoever asked for a demo
PEOPLE = {"alice": "Alice Martin", "bob": "Bob Keller", "carol": "Carol Diaz", "lilei": "李雷"}


class Said(NamedTuple):
    """A message of the demo; `shows` draws the picture that it carries."""

    username: str
    content: str
    shows: Callable[[], bytes] | None = None


class Group(NamedTuple):
    """A group of the demo and what was said in it."""

    name: str
    owner: str
    members: tuple[str, ...]
    said: tuple[Said, ...]


GROUPS = (
    Group(
        "Weekend hike",
        "alice",
        ("bob", "carol", "lilei"),
        (
            Said("alice", "Saturday looks dry. Who is in?"),
            Said("bob", "Me! The ridge or the lake?"),
            Said("lilei", "湖边吧，我带茶。"),
            Said("carol", "Lake. I can take three people in the car 🚗"),
            Said("bob", "Then I bring the sandwiches."),
            Said("carol", "The lake, last autumn 🍂", lake),
        ),
    ),
    Group(
        "Book club",
        "carol",
        ("alice", "lilei"),
        (
            Said("carol", "Next month: something short, please."),
            Said("alice", "“The Summer Book”? 160 pages."),
            Said("carol", "Perfect."),
        ),
    ),
)
PRIVATE = (
    ("bob", "alice", "Hi Alice, did you get home all right?"),
    ("alice", "bob", "Yes, the last train was on time for once."),
    ("bob", "alice", "Lucky! See you on Saturday then."),
    ("carol", "alice", "Can you send me the address of the café?"),
    ("lilei", "bob", "明天见！"),
)


def fill_in(node: Any, upload: Callable[[str, bytes], str | None]) -> None:
    """Make what is missing of the demo. The node need not serve: its writer is run here as long as this takes.

    `upload(username, picture)` returns the id of an upload, None where there is no place for uploads.
    """
    writers = [gevent.spawn(body) for body in node.writer.loops.values()]
    try:
        people = {username: _person(node, username, name) for username, name in PEOPLE.items()}
        for group in GROUPS:
            _talk(node, people, group, upload)
        for number, (sender, receiver, content) in enumerate(PRIVATE):
            _send(node, people[sender], f"demo-{number}", content, toUser=people[receiver].public_id)
    finally:
        gevent.killall(writers)


def _person(node: Any, username: str, name: str) -> Caller:
    """Return a person of the demo, made if there is none of this name."""

    def work(tx: Transaction) -> Caller:
        found = accounts.credentials(tx, username)
        made = found or accounts.register(tx, username, node.auth.passwords.hash(PASSWORD), name)
        return Caller(made.user_id, made.public_id, 0)

    return run_in_transaction(node.engine, node, work)


def _talk(node: Any, people: dict[str, Caller], group: Group, upload: Callable[[str, bytes], str | None]) -> None:
    owner = people[group.owner]
    listed = node.execute(owner, Command("conversation.list", None, {"limit": 100}))["conversations"]
    group_id = next((one["id"] for one in listed if one["kind"] == "group" and one["name"] == group.name), None)
    if group_id is None:
        members = [people[username].public_id for username in group.members]
        group_id = node.execute(owner, Command("group.create", None, {"name": group.name, "memberIds": members}))["id"]
    page = node.execute(owner, Command("history", None, {"conversationId": group_id, "limit": 100}))
    known = {message["localId"] for message in orjson.loads(orjson.dumps(page))["messages"]}  # they come encoded
    for number, (sender, content, shows) in enumerate(group.said):
        local_id = f"demo-{number}"
        media = upload(sender, shows()) if shows and local_id not in known else None
        if media:
            _send(node, people[sender], local_id, content, conversationId=group_id, type="image", mediaId=media)
        elif not shows:
            _send(node, people[sender], local_id, content, conversationId=group_id)


def _send(node: Any, sender: Caller, local_id: str, content: str, **place: str) -> None:
    node.execute(sender, Command("message.send", None, {"localId": local_id, "content": content, **place}))
