"""What the conversations' verbs take, and that presence is asked for once for all."""

from typing import Any

import pytest
from marshmallow import ValidationError

from chat.commands import conversations, verbs
from tests.chat.counter import Counter
from tests.chat.door import Visitor


def test_defaults() -> None:
    assert conversations.UpdateSchema().load({"conversationId": "g1"}) == {
        "conversation_id": "g1", "pinned": None, "muted": None, "hidden": None,
    }  # fmt: skip
    assert conversations.TypingSchema().load({"conversationId": "g1"})["typing"] is True
    assert conversations.MembersSchema().load({"conversationId": "g1"}) == {
        "conversation_id": "g1", "positions": False, "limit": 50, "cursor": "",
    }  # fmt: skip


@pytest.mark.parametrize("given", [{}, {"conversationId": None}, {"conversationId": ["g1"]}, {"conversationId": ""}])
def test_no_conversation_is_refused(given: dict[str, Any]) -> None:
    for verb in ("conversation.get", "conversation.update", "conversation.clear", "conversation.members", "typing"):
        with pytest.raises(ValidationError):
            verbs()[verb].schema().load(given)


def test_presence_is_asked_for_once_and_only_of_peers_that_show_it(
    visitors: tuple[Visitor, Visitor], counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = visitors
    ann.post(f"/users/{bob.id}/messages", {"content": "hi"})
    ann.post(f"/users/{ann.id}/messages", {"content": "a note"})
    ann.post("/groups", {"name": "Club"})
    asked: list[Any] = []
    states = counter.presence.states
    monkeypatch.setattr(counter.presence, "states", lambda ids: asked.append(sorted(ids)) or states(ids))
    assert len(ann.get("/conversations").json["conversations"]) == 3
    assert asked == [sorted(counter.directory.number(user.id) for user in (ann, bob))]
    bob.call("PATCH", "/users/me", json={"showsPresence": False})
    counter.presence.online.add(counter.directory.number(bob.id))
    found = ann.get("/conversations").json["conversations"]
    assert [one["peer"]["online"] for one in found if one.get("peer", {}).get("id") == bob.id] == [False]
