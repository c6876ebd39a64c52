"""Sync: what a client lacks of the conversations it holds."""

from typing import Any

from marshmallow import fields
from marshmallow.validate import Length

from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import WholeNumber, WireId, WireSchema
from chat.services import sync as synchronising
from chat.transaction import Transaction

__all__ = ["StandSchema", "SyncSchema"]

MOST = 100  # conversations of one sync: what a client shows; the rest waits until it is opened


class StandSchema(WireSchema):
    """Where a client stands in a conversation: the last entry and the last change that it holds."""

    seq = WholeNumber(load_default=0)
    change = WholeNumber(load_default=0)


class SyncSchema(WireSchema):
    """Conversations by id."""

    conversations = fields.Dict(
        keys=WireId(), values=fields.Nested(StandSchema), required=True, validate=Length(max=MOST)
    )


def _sync(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": synchronising.states(tx, caller.user_id, data["conversations"])}


sync = Verb("sync", SyncSchema, _sync, cost=10.0)
