"""From the data of `message.send` to a message: the short way and the long one mean the same, nothing bad gets by."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from chat import sending as sending_module
from chat.directory import Directory
from chat.errors import ChatError
from chat.frames import Caller
from chat.media import Attachment
from chat.outgoing import Outgoing
from chat.sending import Sending
from tests.chat.world import DEFAULTS

ANN = Caller(7, "ann", 1, "s1")
KNOWN = {"ann": 7, "bob": 9, "42": 42}


class Known(Directory):
    """Knows a few and asks nobody."""

    def __init__(self) -> None:
        super().__init__(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        for name, number in KNOWN.items():
            self.learn(number, name)

    def number(self, public_id: str) -> int:
        known = self.known_number(public_id)
        if known is None:
            raise ChatError("unknown_user")
        return known


@pytest.fixture(scope="module")
def sending() -> Sending:
    return Sending(Known(), DEFAULTS)


def composed(sending: Sending, data: dict[str, Any]) -> Any:
    """Return everything that a message was made of, or the code of the refusal."""
    sending._made = itertools.count(1)
    try:
        message = sending.compose(ANN, data, print)
    except ChatError as error:
        return error.code.name
    unequal = {"accepted", "done"}
    return {name: getattr(message, name) for name in Outgoing.__slots__ if name not in unequal}


def refusal(sending: Sending, **data: Any) -> str:
    code = composed(sending, {"toUser": "bob", "content": "hi"} | data)
    assert isinstance(code, str), code
    return code


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(
    ["hello", " hi ", "", " ", "\0", "a\0b", "é" * 40, "line\nline", "text", "x" * 64, "x" * 65, "\u200b", "\u2028"]
)
places = texts | st.sampled_from(["bob", "ann", "42", "nobody", "g5", "p7-9", "p8-9", "p9-7", "g0", "42", "p7-9x"])
anything = st.none() | st.booleans() | st.integers(-5, 2**66) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = {
    "toUser": places | anything,
    "conversationId": places | anything,
    "type": st.sampled_from(["text", "system", ""]) | anything,
    "content": texts | anything,
    "localId": texts | anything,
    "readSeq": st.integers(0, 100) | anything,
    "replyTo": texts | anything,
    "mentions": st.lists(texts, max_size=4) | anything,
    "metadata": st.dictionaries(texts, anything, max_size=3) | anything,
    "unknown": anything,
}
requests = st.fixed_dictionaries({}, optional=values)
plain_requests = st.fixed_dictionaries(
    {"content": texts}, optional={"toUser": places, "conversationId": places, "localId": texts, "type": texts}
)


@given(plain_requests | requests)
def test_the_short_way_and_the_long_way_come_to_the_same(sending: Sending, data: dict[str, Any]) -> None:
    short = composed(sending, data)
    plain, sending_module._plain = sending_module._plain, lambda data: False
    try:
        long = composed(sending, data)
    finally:
        sending_module._plain = plain
    assert short == long


@given(plain_requests | requests)
def test_what_gets_by_can_be_kept_and_written_again(sending: Sending, data: dict[str, Any]) -> None:
    made = composed(sending, data)
    if isinstance(made, str):
        return
    assert 0 < len(made["content"]) <= DEFAULTS["CONTENT_CHARACTERS"]
    assert 0 < len(made["local_id"].encode()) <= 64
    assert "\0" not in made["content"] + made["local_id"] + made["type"]
    assert made["body"] is None or isinstance(orjson.loads(made["body"]), dict)
    assert made["read_seq"] is None or 0 <= made["read_seq"] < 2**63
    assert (made["group"] > 0) != (0 < made["low"] <= made["high"])
    orjson.dumps(made)


def test_the_usual_message_takes_the_short_way() -> None:
    assert sending_module._plain({"toUser": "bob", "content": "hé\nllo", "localId": "1-2"})
    assert not sending_module._plain({"toUser": "bob", "content": "hi", "readSeq": 5})


def test_both_places_or_none_is_refused(sending: Sending) -> None:
    assert refusal(sending, conversationId="g5") == "invalid"
    assert refusal(sending, toUser=None) == "invalid"


def test_a_private_conversation_has_its_users_in_order_whoever_writes(sending: Sending) -> None:
    assert composed(sending, {"toUser": "bob", "content": "hi"})["key"] == (0, 7, 9)
    assert composed(sending, {"conversationId": "p7-9", "content": "hi"})["key"] == (0, 7, 9)
    assert composed(sending, {"toUser": "ann", "content": "hi"})["key"] == (0, 7, 7)
    assert composed(sending, {"toUser": 42, "content": "hi"})["key"] == (0, 7, 42)


@pytest.mark.parametrize("place", ["p8-9", "p9-7", "nonsense", "g0", f"g{2**63}", "p0-7"])
def test_a_conversation_of_others_or_of_nobody_is_refused_alike(sending: Sending, place: str) -> None:
    assert refusal(sending, toUser=None, conversationId=place) == "not_a_member"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"toUser": "nobody"}, "unknown_user"),
        ({"toUser": ""}, "invalid"),
        ({"content": " \n "}, "empty_content"),
        ({"content": None}, "empty_content"),
        ({"content": "x" * 5_001}, "content_too_long"),
        ({"content": "x" * 200_001}, "invalid"),
        ({"content": "a\0b"}, "invalid"),
        ({"content": ["x"]}, "invalid"),
        ({"type": "system"}, "invalid"),
        ({"localId": ""}, "invalid"),
        ({"localId": "é" * 33}, "invalid"),
        ({"localId": 5}, "invalid"),
        ({"readSeq": -1}, "invalid"),
        ({"readSeq": 1.5}, "invalid"),
        ({"mentions": ["x"] * 51}, "invalid"),
        ({"metadata": "text"}, "invalid"),
        ({"metadata": {"a": "x" * 4_096}}, "invalid"),
    ],
)
def test_what_is_wrong_is_named(sending: Sending, data: dict[str, Any], code: str) -> None:
    assert refusal(sending, **data) == code


def test_metadata_nested_deeper_than_can_be_written_again_is_refused(sending: Sending) -> None:
    deep = orjson.loads('{"a":' * 300 + "1" + "}" * 300)
    assert refusal(sending, metadata=deep) == "invalid"


def test_extras_are_kept_as_the_schema_brings_them_in_fixed_order(sending: Sending) -> None:
    data = {"metadata": {"a": "\0"}, "mentions": ["bob", "bob", 42], "replyTo": 5, "readSeq": "3"}
    made = composed(sending, {"toUser": "bob", "content": "hi", **data})
    assert made["body"] == '{"replyTo":"5","mentions":["bob","42"],"metadata":{"a":"\\u0000"}}'
    assert made["read_seq"] == 3


def test_a_digest_tells_contents_apart_and_is_the_same_in_every_process(sending: Sending) -> None:
    def digest(**data: Any) -> Any:
        return composed(sending, {"toUser": "bob", "content": "hi"} | data)["digest"]

    assert digest() == digest(localId="other", readSeq=5) == digest(content=" hi ")
    assert len({digest(), digest(content="ho"), digest(metadata={"a": 1}), digest(replyTo="m1-1")}) == 4
    assert digest() == 1838736239031666157


def test_a_missing_local_id_is_made_and_never_the_same(sending: Sending) -> None:
    other = Sending(Known(), DEFAULTS)
    made = {
        maker.compose(ANN, {"toUser": "bob", "content": "hi"}, print).local_id for maker in (sending, sending, other)
    }
    assert len(made) == 3


def test_only_a_user_who_is_not_known_here_has_to_be_asked_for(sending: Sending) -> None:
    assert sending.address_known({"toUser": "bob"})
    assert sending.address_known({"conversationId": "g5"})
    assert not sending.address_known({"toUser": "stranger"})
    assert not sending.address_known({"toUser": 42})


def test_a_database_that_cannot_be_asked_is_no_unknown_user() -> None:
    asking = Sending(Directory(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")), DEFAULTS)
    assert composed(asking, {"toUser": "bob", "content": "hi"}) == "overloaded"


# Uploads.

PICTURE = '{"id":"' + "a" * 32 + '","kind":"image","url":"/uploads/images/x.jpg"}'
UPLOADS = {
    (7, "a" * 32): Attachment(5, "image", PICTURE, "a.jpg"),
    (7, "b" * 32): Attachment(6, "file", '{"id":"b"}', "b.pdf"),
}


@pytest.fixture
def shelf() -> Sending:
    return Sending(Known(), DEFAULTS, lambda user, name: UPLOADS.get((user, name)))


def picture(**more: Any) -> dict[str, Any]:
    return {"toUser": "bob", "type": "image", "mediaId": "a" * 32} | more


def test_a_message_carries_its_upload_first_and_knows_its_number(shelf: Sending) -> None:
    made = composed(shelf, picture(metadata={"a": 1}))
    assert (made["media"], made["content"]) == (5, "[image]")
    assert made["body"] == f'{{"media":{PICTURE},"metadata":{{"a":1}}}}'
    assert composed(shelf, picture())["body"] == f'{{"media":{PICTURE}}}'
    paper = composed(shelf, picture(type="file", mediaId="b" * 32))
    assert (paper["media"], paper["content"]) == (6, "b.pdf")
    assert composed(shelf, picture(type="file", mediaId="b" * 32, content="read"))["content"] == "read"


@pytest.mark.parametrize(
    "data",
    [{"mediaId": None}, {"type": "text", "content": "x"}, {"mediaId": "b" * 32}],
)
def test_an_upload_that_is_missing_or_does_not_fit_is_invalid(shelf: Sending, data: dict[str, Any]) -> None:
    assert composed(shelf, picture(**data)) == "invalid"


def test_an_image_without_an_upload_is_invalid_by_the_short_way_too(shelf: Sending) -> None:
    assert composed(shelf, {"toUser": "bob", "type": "image", "content": "x"}) == "invalid"


def test_an_unknown_upload_is_refused_but_a_stored_message_has_its_answer(shelf: Sending) -> None:
    assert composed(shelf, picture(mediaId="c" * 32)) == "unknown_media"
    made = composed(shelf, picture(mediaId="c" * 32, localId="one"))
    assert (made["ask_only"], made["refusal"].code.name, made["media"]) == (True, "unknown_media", None)


def test_the_digest_is_over_the_upload_and_not_over_what_becomes_of_it(shelf: Sending) -> None:
    other = Sending(Known(), DEFAULTS, lambda *_: Attachment(5, "image", '{"id":"later"}', "a.jpg"))
    gone = Sending(Known(), DEFAULTS)
    digests = {composed(maker, picture(localId="one"))["digest"] for maker in (shelf, other, gone)}
    assert len(digests) == 1
    different = [picture(content="x"), picture(metadata={"a": 1}), picture(mediaId="b" * 32, type="file")]
    assert not digests & {composed(shelf, data | {"localId": "one"})["digest"] for data in different}


def test_an_upload_has_to_be_asked_for(shelf: Sending) -> None:
    assert not shelf.address_known(picture())
