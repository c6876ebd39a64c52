"""Conversations over REST."""

import pytest
from flask import Flask

from tests.chat.counter import Counter
from tests.chat.door import Visitor, code_of


def test_the_list_shows_the_peer_and_whether_they_are_there(
    visitors: tuple[Visitor, Visitor], counter: Counter
) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    assert ann.get("/conversations").json["conversations"][0]["peer"]["online"] is False
    counter.presence.online.add(counter.directory.number(bob.id))
    (found,) = ann.get("/conversations").json["conversations"]
    assert (found["id"], found["peer"]["online"], found["lastMessage"]["content"]) == (wire_id, True, "hi")
    assert ann.get(f"/conversations/{wire_id}").json == found


def test_the_list_comes_in_pages(visitors: tuple[Visitor, Visitor]) -> None:
    ann, _ = visitors
    made = [ann.post("/groups", {"name": "Club"}).json["id"] for _ in range(3)]
    first = ann.get("/conversations?limit=2").json
    second = ann.get(f"/conversations?limit=2&cursor={first['nextCursor']}").json
    assert [one["id"] for one in first["conversations"] + second["conversations"]] == made[::-1]
    assert second["nextCursor"] is None


def test_a_member_sets_and_clears_what_is_theirs(visitors: tuple[Visitor, Visitor], counter: Counter) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    counter.presence.online.add(counter.directory.number(ann.id))
    set_ = bob.call("PATCH", f"/conversations/{wire_id}", json={"pinned": True, "muted": True}).json
    assert (set_["pinned"], set_["muted"], set_["peer"]["online"]) == (True, True, True)
    assert bob.call("DELETE", f"/conversations/{wire_id}").json == {"success": True}
    assert bob.get(f"/conversations/{wire_id}/messages").json["messages"] == []
    assert bob.get("/conversations").json["conversations"] == []


def test_members_and_typing(visitors: tuple[Visitor, Visitor], counter: Counter) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    members = ann.get(f"/conversations/{wire_id}/members?positions=true").json["members"]
    assert {member["user"]["id"] for member in members} == {ann.id, bob.id}
    assert ann.post(f"/conversations/{wire_id}/typing", {"typing": True}).json == {"success": True}
    assert counter.events[-1].data == {"conversationId": wire_id, "userId": ann.id, "typing": True}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/members"), ("POST", "/typing"), ("GET", "/messages"),
        ("POST", "/messages"), ("POST", "/read"),
    ],
)  # fmt: skip
def test_what_is_not_ones_own_is_refused_at_every_route(chat: Flask, method: str, path: str) -> None:
    ann, bob, eve = (Visitor(chat, f"{name}{id(method)}{method}{path[1:]}") for name in ("ann", "bob", "eve"))
    private = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    group = ann.post("/groups", {"name": "Club", "memberIds": [bob.id]}).json["id"]
    for wire_id in (private, group, "g999999999", "p1-2", "rubbish"):
        body = None if method in ("GET", "DELETE") else {"content": "hi"}
        answer = eve.call(method, f"/conversations/{wire_id}{path}", json=body)
        assert (answer.status_code, code_of(answer)) == (403, "not_a_member")
