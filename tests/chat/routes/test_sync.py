"""Sync over REST."""

from tests.chat.door import Visitor, code_of


def test_a_client_that_says_where_it_stands_gets_the_rest(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    sent = [ann.post(f"/users/{bob.id}/messages", {"content": str(number)}).json for number in range(3)]
    wire_id = sent[0]["conversationId"]
    asked = {wire_id: {"seq": 1, "change": 1}, "g999999999": {"seq": 0, "change": 0}, "p1-2": {}}
    states = bob.post("/sync", {"conversations": asked}).json["conversations"]
    assert states[wire_id]["messages"] == sent[1:]
    assert (states[wire_id]["lastSeq"], states[wire_id]["change"], states[wire_id]["unread"]) == (3, 3, 3)
    assert states["g999999999"] == states["p1-2"] == {"removed": True}


def test_what_makes_no_sense_is_refused(visitors: tuple[Visitor, Visitor]) -> None:
    ann, _ = visitors
    many = {f"g{number}": {"seq": 0, "change": 0} for number in range(1, 102)}
    for body in ({}, {"conversations": many}, {"conversations": {"g1": {"seq": -1}}}, {"conversations": {"g1": 5}}):
        assert code_of(ann.post("/sync", body)) == "invalid"
