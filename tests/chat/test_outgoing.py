"""A message on its way."""

import orjson

from chat.outgoing import Outgoing


def outgoing(place: tuple[int, int, int], content: str = "hi", body: str | None = None) -> Outgoing:
    return Outgoing(7, "ann", place, "local", 1, "text", content, body, None, "s1", print)


def test_it_knows_its_conversation_by_the_id_on_the_wire() -> None:
    assert outgoing((5, 0, 0)).wire_id == "g5"
    assert outgoing((0, 7, 9)).wire_id == "p7-9"
    assert outgoing((0, 7, 7)).wire_id == "p7-7"


def test_messages_of_one_conversation_have_one_key() -> None:
    assert outgoing((0, 7, 9)).key == outgoing((0, 7, 9), "other").key != outgoing((5, 0, 0)).key


def test_its_size_counts_what_is_kept_of_it() -> None:
    assert outgoing((5, 0, 0), "x" * 100, "y" * 50).size - outgoing((5, 0, 0), "").size == 150


def test_it_begins_unanswered_and_without_copies() -> None:
    message = outgoing((5, 0, 0))
    assert (message.copies, message.busy, message.ask_only, message.refusal) == (None, 0, False, None)


def test_it_is_on_the_wire_what_the_database_made_of_it() -> None:
    told = orjson.loads(outgoing((5, 0, 0), "hi", '{"metadata":{"a":1}}').json(5, 3, 4, 1_000_001))
    assert (told["conversationId"], told["seq"], told["change"], told["metadata"]) == ("g5", 3, 4, {"a": 1})
    assert (told["senderId"], told["localId"], told["createdAt"]) == ("ann", "local", "1970-01-01T00:00:01.000001Z")


def test_what_tells_of_it_names_whom_it_concerns() -> None:
    private = outgoing((0, 7, 9)).event(3, 1, 2, 1_000_001, 4)
    assert (private.target, private.seq, private.change, private.version) == (3, 1, 2, 4)
    assert (sorted(private.members), private.private, private.origin) == ([7, 9], True, "s1")
    group = outgoing((5, 0, 0)).event(5, 1, 2, 1_000_001, 4)
    assert (group.members, group.private) == ((), False)


def test_an_upload_stands_first_in_its_body_and_counts_as_kept() -> None:
    for body, after in ((None, '{"media":{"id":"x"}}'), ('{"metadata":{}}', '{"media":{"id":"x"},"metadata":{}}')):
        message = outgoing((5, 0, 0), "", body)
        before = message.size
        message.attach(3, '{"id":"x"}', "a.pdf")
        assert (message.media, message.body, message.content) == (3, after, "a.pdf")
        assert message.size == before + len('{"id":"x"}a.pdf')


def test_words_of_the_sender_win_over_the_uploads_name() -> None:
    message = outgoing((5, 0, 0), "look")
    message.attach(3, "{}", "a.pdf")
    assert message.content == "look"
