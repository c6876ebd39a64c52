"""What a client has: entries by conversation and seq, of each the highest `change`, and how it asks for the rest."""

from collections.abc import Callable
from typing import Any

__all__ = ["Memory"]

PAGE = 100  # what one request brings at most
Message = dict[str, Any]


class Memory:
    """`entries`: what it has. `seen`: every event, in order. `streams`: the messages that each connection brought."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], Message] = {}
        self.seen: list[dict[str, Any]] = []
        self.streams: list[list[Message]] = []

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the data of the events of this name that were seen."""
        return [event["data"] for event in list(self.seen) if event["event"] == name]

    def contents(self, conversation: str) -> list[str]:
        """Return the texts of a conversation, by seq."""
        return [self.entries[key]["content"] for key in sorted(self.entries) if key[0] == conversation]

    def bring(self, frame: dict[str, Any]) -> None:
        """Take the messages of an event."""
        name, data = frame["event"], frame["data"]
        if name == "offline.batch":
            found = data["messages"]
        else:
            found = [data] if name in ("message", "message.updated") else []
        self.streams[-1] += found
        self.keep(found)

    def keep(self, messages: list[Message]) -> None:
        """Keep messages, however they came."""
        for message in messages:
            key = (message["conversationId"], message["seq"])
            if key not in self.entries or self.entries[key]["change"] < message["change"]:
                self.entries[key] = message

    def load(self, ask: Callable[..., Any]) -> None:
        """Ask for everything that is lacking, as `resync` obliges: the list, `sync` of what is held, the rest by pages.

        What is held may be no more in the list, for another device put it out of it.

        `ask(op, **data)` runs a verb.
        """
        held = {where for where, _ in list(self.entries)}
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            page = ask("conversation.list", limit=PAGE, **cursor)
            for row in page["conversations"]:
                self._sync(ask, row["id"])
                held.discard(row["id"])
            cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else None
        for where in held:
            self._sync(ask, where)

    def _sync(self, ask: Callable[..., Any], conversation: str) -> None:
        stand = self._stand(conversation)
        state = ask("sync", conversations={conversation: stand})["conversations"][conversation]
        found, more = state.get("messages", []), state.get("hasMore")
        self.keep(found + state.get("changed", []))
        while more:
            page = ask("history", conversationId=conversation, before=found[0]["seq"], limit=PAGE)
            found = page["messages"]
            self.keep(found)
            more = page["hasMore"] and found[0]["seq"] > stand["seq"] + 1

    def _stand(self, conversation: str) -> dict[str, int]:
        """Return up to which seq nothing is missing, and the highest change."""
        held = {seq for where, seq in list(self.entries) if where == conversation}
        whole = next(seq for seq in range(len(held) + 1) if seq + 1 not in held)
        return {"seq": whole, "change": max((self.entries[conversation, seq]["change"] for seq in held), default=0)}
