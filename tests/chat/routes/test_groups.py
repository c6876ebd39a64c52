"""Groups over REST: each route runs its verb, and answers in its shape."""

from tests.chat.door import Visitor, code_of


def test_a_group_lives_from_its_making_to_its_end(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    made = ann.post("/groups", {"name": "  Club ", "memberIds": [bob.id], "history": "all"})
    assert made.status_code == 201
    group = made.json["id"]
    assert (made.json["name"], made.json["history"], made.json["role"]) == ("Club", "all", "owner")
    assert ann.call("PATCH", f"/groups/{group}", json={"name": "Choir", "avatar": "/a.png"}).json["name"] == "Choir"
    assert bob.get(f"/groups/{group}").json["avatar"] == "/a.png"
    assert ann.call("PATCH", f"/groups/{group}", json={"avatar": None}).json["avatar"] is None
    assert ann.call("DELETE", f"/groups/{group}").json == {"success": True}
    assert code_of(bob.get(f"/groups/{group}")) == "not_a_member"


def test_members_come_and_go(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    group = ann.post("/groups", {"name": "Club", "joining": "open", "listed": True}).json["id"]
    assert group in [found["id"] for found in bob.get("/groups?limit=100").json["groups"]]
    assert bob.post(f"/groups/{group}/join").json["memberCount"] == 2
    assert bob.post(f"/groups/{group}/leave").json == {"success": True}
    assert ann.post(f"/groups/{group}/members", {"userIds": [bob.id]}).json["memberCount"] == 2
    assert len(ann.get(f"/groups/{group}/members").json["members"]) == 2
    assert ann.call("PUT", f"/groups/{group}/members/{bob.id}/role", json={"role": "admin"}).status_code == 200
    assert ann.call("DELETE", f"/groups/{group}/members/{bob.id}").json == {"success": True}
    bob.post(f"/groups/{group}/join")
    assert ann.post(f"/groups/{group}/transfer", {"userId": bob.id}).json["role"] == "admin"


def test_who_is_muted_may_write_again_later(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    group = ann.post("/groups", {"name": "Club", "memberIds": [bob.id]}).json["id"]
    mute = f"/groups/{group}/members/{bob.id}/mute"
    assert ann.call("PUT", mute, json={"until": "2999-01-01T00:00:00Z"}).json == {"success": True}
    assert bob.get(f"/conversations/{group}").json["mutedUntil"] == "2999-01-01T00:00:00.000000Z"
    assert code_of(bob.post(f"/conversations/{group}/messages", {"content": "hi"})) == "muted"
    assert ann.call("PUT", mute, json={"until": None}).status_code == 200
    assert bob.post(f"/conversations/{group}/messages", {"content": "hi"}).status_code == 201


def test_refusals_have_the_one_shape(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    group = ann.post("/groups", {"name": "Club", "memberIds": [bob.id]}).json["id"]
    refused = ann.post("/groups", {"name": "Club", "memberIds": ["ghost"]})
    assert (refused.status_code, refused.json["error"]["details"]) == (400, {"memberIds": ["ghost"]})
    for answer, status, code in (
        (ann.post("/groups", {"name": " "}), 400, "invalid"),
        (ann.post("/groups", {"name": "x", "memberIds": "y" * 10}), 400, "invalid"),
        (ann.post("/groups", {"name": "x", "joining": "closed"}), 400, "invalid"),
        (ann.post(f"/groups/{group}/members", {"userIds": [str(number) for number in range(101)]}), 400, "invalid"),
        (ann.post(f"/groups/{group}/leave"), 409, "last_owner"),
        (ann.call("PUT", f"/groups/{group}/members/{bob.id}/role", json={"role": "owner"}), 400, "invalid"),
        (ann.call("PUT", f"/groups/{group}/members/{bob.id}/mute", json={"until": "tomorrow"}), 400, "invalid"),
        (bob.call("PATCH", f"/groups/{group}", json={"name": "Mine"}), 403, "forbidden"),
        (bob.call("DELETE", f"/groups/{group}"), 403, "forbidden"),
        (bob.post("/groups/g999999999/join"), 403, "not_a_member"),
        (bob.get("/groups?cursor=rubbish"), 400, "invalid"),
    ):
        assert (answer.status_code, code_of(answer)) == (status, code), answer.text
