"""`presence.watch`: of whom a session hears when they come and go, besides its user's private peers."""

from typing import Any

from marshmallow import fields

from chat import persons
from chat.commands import Verb
from chat.errors import ChatError
from chat.frames import Caller
from chat.schemas import WireId, WireSchema
from chat.services import users
from chat.transaction import run_in_transaction

__all__ = ["WatchSchema", "watch"]


class WatchSchema(WireSchema):
    """Whom to watch from now on, instead of whom was watched before; none: nobody."""

    user_ids = fields.List(WireId(), required=True, metadata={"description": "At most PRESENCE_WATCH (200) users."})


def _watch(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    if not caller.session_id:
        raise ChatError("invalid", details={"Chat-Session": ["Name the session that is to watch."]})
    ids = list(dict.fromkeys(data["user_ids"]))
    most = node.config["PRESENCE_WATCH"]
    if len(ids) > most:
        raise ChatError("invalid", details={"userIds": [f"Must have at most {most} entries."]})
    rows = run_in_transaction(node.engine, node, lambda tx: users.by_ids(tx, ids))
    node.watch(caller, [row.id for row in rows])  # first, so that what changes in between is told
    return {"presence": persons.presence(node, rows)}


watch = Verb("presence.watch", WatchSchema, _watch, cost=5.0, direct=True)
