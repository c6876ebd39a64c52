"""`ping`: does anybody listen, and what time is it there? A client asks when it doubts its line."""

from typing import Any

from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import WireSchema

__all__ = ["ping"]


def _ping(node: Any, _caller: Caller, _data: dict[str, Any]) -> dict[str, Any]:
    return {"serverTime": node.wire_now()}


ping = Verb("ping", WireSchema, _ping, direct=True)
