"""`ping`: a page cannot ask the WebSocket itself whether its connection still lives; this it can ask."""

from typing import Any

from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import WireSchema

__all__ = ["PingSchema", "ping"]


class PingSchema(WireSchema):
    """Nothing is asked but whether somebody is there."""


def _ping(node: Any, _caller: Caller, _data: dict[str, Any]) -> dict[str, Any]:
    return {"serverTime": node.wire_now()}


ping = Verb("ping", PingSchema, _ping, direct=True)
