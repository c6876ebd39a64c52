"""Messages over REST."""

import pytest

from tests.chat.door import Visitor, code_of


def test_a_new_message_is_created_and_a_known_one_is_found(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    message = {"content": "hi", "localId": "one", "metadata": {"a": [1, 2.5, None]}}
    first, again = (ann.post(f"/users/{bob.id}/messages", message) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.data == again.data
    assert list(first.json) == [
        "id", "conversationId", "seq", "change", "senderId", "localId", "type", "content", "metadata", "createdAt",
    ]  # fmt: skip
    other = ann.post(f"/users/{bob.id}/messages", message | {"content": "ho"})
    assert (other.status_code, code_of(other)) == (409, "local_id_conflict")


def test_history_is_what_was_sent_from_both_sides(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    sent = [ann.post(f"/users/{bob.id}/messages", {"content": str(number)}).json for number in range(3)]
    wire_id = sent[0]["conversationId"]
    sent.append(bob.post(f"/conversations/{wire_id}/messages", {"content": "3"}).json)
    for user in (ann, bob):
        assert user.get(f"/conversations/{wire_id}/messages").json == {"messages": sent, "hasMore": False}
    assert ann.get(f"/conversations/{wire_id}/messages?before=4&limit=2").json == {
        "messages": sent[1:3],
        "hasMore": True,
    }
    assert ann.get(f"/conversations/{wire_id}/messages?after=1&limit=2").json == {
        "messages": sent[1:3],
        "hasMore": True,
    }


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=-1", "after=99999999999999999999"])
def test_a_page_that_makes_no_sense_is_refused(visitors: tuple[Visitor, Visitor], query: str) -> None:
    ann, bob = visitors
    wire_id = ann.post(f"/users/{bob.id}/messages", {"content": "hi"}).json["conversationId"]
    answer = ann.get(f"/conversations/{wire_id}/messages?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


def test_nobody_writes_to_nobody_or_without_content(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    assert code_of(ann.post("/users/nobody/messages", {"content": "hi"})) == "unknown_user"
    assert code_of(ann.post(f"/users/{bob.id}/messages", {"content": "  "})) == "empty_content"


def test_the_address_stands_above_what_the_body_says(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    message = ann.post(f"/users/{bob.id}/messages", {"content": "hi", "toUser": ann.id}).json
    assert bob.get(f"/conversations/{message['conversationId']}/messages").json["messages"] == [message]
