"""`chat.v1`: frames become commands or one kind of refusal, events and answers become frames."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import ChatError
from chat.frames import CONVERSATION, Command, Event
from chat.protocols import native

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
ids = st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]), max_size=native.ID_BYTES)
verbs = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,3}", fullmatch=True)


def refusal(frame: bytes) -> ChatError:
    with pytest.raises(ChatError) as refused:
        native.decode(frame)
    assert refused.value.code.name == "invalid"
    return refused.value


@given(
    st.binary(max_size=100)
    | values.map(orjson.dumps)
    | st.fixed_dictionaries({}, optional={"op": values, "id": values, "data": values}).map(orjson.dumps)
)
def test_garbage_is_refused_in_one_way_only(frame: bytes) -> None:
    try:
        command = native.decode(frame)
    except ChatError as error:
        assert error.code.name == "invalid"
        orjson.dumps(error.as_data())
    else:
        assert isinstance(command.data, dict)
        assert isinstance(command.op, str)


@given(verbs, ids | st.none(), st.dictionaries(texts, values, max_size=3))
def test_a_command_keeps_its_number_and_its_data(op: str, number: Any, data: dict[str, Any]) -> None:
    frame = orjson.dumps({"op": op, "id": number, "data": data, "unknown": 1})
    assert native.decode(frame) == Command(op, number, data)


@given(ids)
def test_the_number_of_a_refused_command_is_told_where_it_could_be_read(number: Any) -> None:
    assert refusal(orjson.dumps({"op": 5, "id": number})).details == {"id": number}
    assert refusal(orjson.dumps({"op": "ping", "id": number, "data": []})).details == {"id": number}


@given(ids | st.none(), values)
def test_an_answer_bears_the_number_of_its_command(number: Any, data: Any) -> None:
    assert orjson.loads(native.encode_reply(number, orjson.dumps(data))) == {"re": number, "data": data}
    refused = orjson.loads(native.encode_failure(number, ChatError("invalid", details=data)))
    assert refused["re"] == number
    assert refused["error"]["code"] == "invalid"


@pytest.mark.parametrize("number", [True, 1.5, 2**53, [], {}, "x" * (native.ID_BYTES + 1)])
def test_a_number_that_would_be_a_load_or_not_come_back_as_it_was_is_refused(number: Any) -> None:
    refusal(orjson.dumps({"op": "ping", "id": number}))


@pytest.mark.parametrize("op", ["", "Ping", "ping.", ".ping", "ping!", "a.b.c.d.e", "x" * 65, "ping\n", None, 5])
def test_what_cannot_be_a_verb_is_refused(op: Any) -> None:
    refusal(orjson.dumps({"op": op, "id": 1}))


@pytest.mark.parametrize(
    "frame",
    [b"", b"[]", b"null", b"\xff", b'{"op":"ping"', b'"\\ud800"', b"[" * 5_000, b'{"op":"ping","id":1e999}', b"\x00"],
)
def test_no_frame_harms_the_reader(frame: bytes) -> None:
    refusal(frame)


def test_missing_data_is_empty_data() -> None:
    assert (
        native.decode(b'{"op":"ping"}')
        == native.decode(b'{"op":"ping","id":null,"data":null}')
        == Command("ping", None, {})
    )


def test_an_event_is_its_name_and_its_data_as_they_are() -> None:
    event = Event("message", b'{"seq":1}', CONVERSATION, 1)
    assert native.encode_event(event) == b'{"event":"message","data":{"seq":1}}'
