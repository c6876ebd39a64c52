"""A message on the wire: fields, order, what is left out."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chat.media_address import sign_with, signed
from chat.messages import message_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_a_plain_message_has_its_fields_in_order() -> None:
    raw = message_json("g7", 7, 3, 5, "u1", "a-1", "text", "hi", None, 1_000_000)
    assert raw == (
        b'{"id":"m7-3","conversationId":"g7","seq":3,"change":5,"senderId":"u1","localId":"a-1","type":"text","content":"hi",'
        b'"createdAt":"1970-01-01T00:00:01.000000Z"}'
    )


def test_the_stored_body_stands_between_content_and_times_as_it_is() -> None:
    body = '{"mentions":["u2"],"metadata":{"big":12345678901234567890}}'
    raw = message_json("g7", 7, 3, 5, "u1", "a-1", "text", "hi", body, 0, 1, 2)
    assert list(orjson.loads(raw))[7:] == ["content", "mentions", "metadata", "createdAt", "editedAt", "recalledAt"]
    assert b'"metadata":{"big":12345678901234567890}' in raw


def test_an_empty_body_adds_nothing() -> None:
    without, empty = (message_json("g7", 7, 1, 1, "u1", "a", "text", "", body, 0) for body in (None, "{}"))
    assert without == empty


def test_a_notice_has_no_sender() -> None:
    assert orjson.loads(message_json("g7", 7, 1, 1, None, "n", "system", "x", None, 0))["senderId"] is None


@given(TEXT, TEXT, TEXT, st.dictionaries(TEXT, st.integers(-(2**53), 2**53), max_size=3))
def test_any_text_comes_out_as_it_went_in(sender: str, local_id: str, content: str, metadata: dict[str, int]) -> None:
    body = orjson.dumps({"metadata": metadata}).decode()
    data = orjson.loads(message_json("p1-2", 9, 1, 1, sender, local_id, "text", content, body, 0))
    assert (data["senderId"], data["localId"]) == (sender, local_id)
    assert (data["content"], data["metadata"]) == (content, metadata)


def test_the_addresses_of_media_are_signed_and_those_in_metadata_are_not() -> None:
    sign_with({"MEDIA_SECRET": "", "JWT_SECRET": "s" * 32})
    name = "a" * 32
    media = f'{{"id":"{name}","kind":"image","url":"/uploads/images/{name}.jpg","size":5}}'
    body = f'{{"media":{media},"metadata":{{"media":{media}}}}}'
    data = orjson.loads(message_json("g7", 7, 3, 5, "u1", "a-1", "image", "[image]", body, 0))
    assert data["media"]["url"] == signed(f"/uploads/images/{name}.jpg")
    assert data["metadata"] == {"media": orjson.loads(media)}
    assert list(data)[7:] == ["content", "media", "metadata", "createdAt"]
