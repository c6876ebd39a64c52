"""Unread counts and positions over REST."""

from tests.chat.counter import Counter
from tests.chat.door import Visitor, code_of


def test_reading_moves_the_count(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    sent = [ann.post(f"/users/{bob.id}/messages", {"content": str(number)}).json for number in range(3)]
    wire_id = sent[0]["conversationId"]
    assert bob.get("/unread").json == {
        "total": 3, "conversations": {wire_id: {"unread": 3, "lastMessage": sent[-1]}}, "notifications": 0,
    }  # fmt: skip
    read = bob.post(f"/conversations/{wire_id}/read", {"seq": 2}).json
    assert (read["conversationId"], read["readSeq"], read["unread"]) == (wire_id, 2, 1)
    assert bob.post(f"/conversations/{wire_id}/read").json["unread"] == 0
    assert bob.get("/unread").json["total"] == 0


def test_many_are_read_at_once_and_each_answers_for_itself(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    private = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    group = ann.post("/groups", {"name": "Club", "memberIds": [bob.id]}).json["id"]
    ann.post(f"/conversations/{group}/messages", {"content": "hi"})
    foreign = ann.post("/groups", {"name": "Mine"}).json["id"]
    asked = [{"id": private}, {"id": group, "seq": 2}, {"id": foreign}, {"id": "rubbish"}, {"id": "p1-2"}]
    answers = bob.post("/unread/read", {"conversations": asked}).json["conversations"]
    assert set(answers) == {one["id"] for one in asked}
    assert (answers[private]["unread"], answers[group]["readSeq"]) == (0, 2)
    for refused in (foreign, "rubbish", "p1-2"):
        assert answers[refused]["error"]["code"] == "not_a_member"
    assert bob.get("/unread").json["total"] == 0


def test_what_has_arrived_moves_the_delivered_position(visitors: tuple[Visitor, Visitor], counter: Counter) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    assert bob.post(f"/conversations/{wire_id}/delivered", {"seq": 1}).json == {"success": True}
    counter.positions.stop()
    assert ann.get(f"/conversations/{wire_id}").json["peer"]["deliveredSeq"] == 1


def test_positions_that_make_no_sense_are_refused(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    for answer, code in (
        (bob.post(f"/conversations/{wire_id}/read", {"seq": "x"}), "invalid"),
        (bob.post(f"/conversations/{wire_id}/read", {"seq": -1}), "invalid"),
        (bob.post(f"/conversations/{wire_id}/delivered"), "invalid"),
        (bob.post("/conversations/rubbish/delivered", {"seq": 1}), "not_a_member"),
        (bob.post("/unread/read"), "invalid"),
        (bob.post("/unread/read", {"conversations": [{"id": wire_id}] * 101}), "invalid"),
    ):
        assert code_of(answer) == code, answer.text
