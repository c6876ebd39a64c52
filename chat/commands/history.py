"""A conversation's history, page by page."""

from typing import Any

from chat.commands import Verb
from chat.frames import Caller
from chat.pages import Bounds
from chat.paging import LIST_DEFAULT, LIST_MOST
from chat.schemas import WholeNumber, WireId, WireSchema

__all__ = ["HistorySchema"]


class HistorySchema(WireSchema):
    """A page of entries, by seq: the newest before `before`, or with `after` the oldest after it."""

    conversation_id = WireId(required=True)
    before = WholeNumber(load_default=None, allow_none=True)
    after = WholeNumber(load_default=None, allow_none=True)
    limit = WholeNumber(1, LIST_MOST, load_default=LIST_DEFAULT)


def _history(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    bounds = Bounds(data["before"], data["after"], data["limit"])
    page: dict[str, Any] = node.pages.page(caller.user_id, data["conversation_id"], bounds)
    return page


history = Verb("history", HistorySchema, _history, cost=2.0, direct=True)
