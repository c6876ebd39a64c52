"""`user.*` and `presence.get`: who is there to talk to, and what one says of oneself."""

from typing import Any

from marshmallow import fields

from chat import persons
from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import Address, CommaList, Name, PageSchema, Text, WireId, WireSchema
from chat.services import users
from chat.transaction import run_in_transaction

__all__ = ["get", "me", "presence", "search", "update"]

ASKED = 200  # users of one question, as many as one session may watch


class UserSchema(WireSchema):
    """Names a user."""

    user_id = WireId(required=True)


class SearchSchema(PageSchema):
    """A page of the users whose name or user name starts with `query`; without it of all."""

    query = Text(64, strip=True, load_default="")


class ProfileSchema(WireSchema):
    """What a user says of themselves; what is not given stays."""

    name = Name(64)
    avatar = Address(allow_none=True)
    status_text = Text(200, strip=True, allow_none=True)
    shows_presence = fields.Boolean()
    sends_receipts = fields.Boolean()
    listed = fields.Boolean()


class PresenceSchema(WireSchema):
    """Whose presence is asked for."""

    ids = CommaList(WireId(), ASKED, required=True)


def _get(node: Any, _caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return persons.persons(node, [_one(node, data["user_id"])])[0]


def _me(node: Any, caller: Caller, _data: dict[str, Any]) -> dict[str, Any]:
    return persons.own(node, _one(node, caller.public_id))


def _search(node: Any, _caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    wanted = data["query"], data["cursor"], data["limit"]
    rows, cursor = run_in_transaction(node.engine, node, lambda tx: users.search(tx, *wanted))
    return {"users": persons.persons(node, rows), "nextCursor": cursor}


def _update(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    row = run_in_transaction(node.engine, node, lambda tx: users.change(tx, caller.user_id, data))
    if "shows_presence" in data:
        node.presence.say_again(caller.user_id)
    return persons.own(node, row)


def _presence(node: Any, _caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    rows = run_in_transaction(node.engine, node, lambda tx: users.by_ids(tx, data["ids"]))
    return {"presence": persons.presence(node, rows)}


def _one(node: Any, public_id: str) -> users.UserRow:
    return run_in_transaction(node.engine, node, lambda tx: users.the_user(tx, public_id))


get = Verb("user.get", UserSchema, _get, direct=True)
me = Verb("user.me", WireSchema, _me, direct=True)
search = Verb("user.search", SearchSchema, _search, cost=2, direct=True)
update = Verb("user.update", ProfileSchema, _update, cost=2, direct=True)
presence = Verb("presence.get", PresenceSchema, _presence, cost=2, direct=True)
