import orjson
import pytest
from marshmallow import ValidationError, fields

from chat.schemas import (
    Address,
    CommaList,
    LocalId,
    Name,
    Password,
    Text,
    WholeNumber,
    WireId,
    WireSchema,
    camel,
    refusal,
)


class Everything(WireSchema):
    member_ids = CommaList(WireId(), 3)
    some_number = WholeNumber(1, 100)
    big = WholeNumber()
    text = Text(5, 1, strip=True)
    name = Name(5)
    local_id = LocalId()
    password = Password()
    avatar = Address(allow_none=True)
    kept = fields.String(data_key="other_name")


def load(**data):
    return Everything().load(data)


def refused(**data):
    with pytest.raises(ValidationError) as refusal:
        load(**data)
    return refusal.value.messages


def test_names_are_camel_case_on_the_wire_and_snake_case_inside():
    assert camel("last_seen_at") == "lastSeenAt"
    assert load(memberIds=["a"], someNumber=3) == {"member_ids": ["a"], "some_number": 3}
    assert load(other_name="x") == {"kept": "x"}


def test_unknown_fields_are_ignored():
    assert load(somethingElse=1) == {}


def test_ids_may_come_as_integers_and_lists_as_text_without_doubles():
    assert load(memberIds=[42, "a", "42"]) == {"member_ids": ["42", "a"]}
    assert load(memberIds="a,b,,a") == {"member_ids": ["a", "b"]}


def test_lists_have_a_bound():
    assert "memberIds" in refused(memberIds=[1, 2, 3, 4])
    assert "memberIds" in refused(memberIds="a,b,c,d")


@pytest.mark.parametrize("value", [5, None, {"a": 1}, [None], [{}], [True]])
def test_what_is_no_list_of_ids_is_refused(value):
    assert "memberIds" in refused(memberIds=value)


@pytest.mark.parametrize("value", [0, 101, 1.0, 1.5, True, "x", "1.0", "１２", "9" * 5_000, None, [], "1_0"])
def test_numbers_are_whole_and_in_their_range(value):
    assert "someNumber" in refused(someNumber=value)


def test_digits_are_a_number_as_in_a_query():
    assert load(someNumber="12") == {"some_number": 12}


def test_no_number_is_beyond_what_the_database_keeps():
    assert load(big=2**63 - 1) == {"big": 2**63 - 1}
    assert "big" in refused(big=2**63)
    assert "big" in refused(big=1e30)


@pytest.mark.parametrize("value", ["", "   ", "toolong", "a\0", "\ud800", 5, None, ["a"]])
def test_text_is_bounded_and_can_be_kept(value):
    assert "text" in refused(text=value)


def test_text_is_stripped_where_it_says_so():
    assert load(text="  ab ") == {"text": "ab"}


@pytest.mark.parametrize("value", ["a\nb", "\u202ea", "   ", "sixsix"])
def test_names_are_one_short_line(value):
    assert "name" in refused(name=value)


def test_a_local_id_is_measured_in_bytes():
    assert load(localId="é" * 32) == {"local_id": "é" * 32}
    assert "localId" in refused(localId="é" * 33)
    assert "localId" in refused(localId="")


def test_a_password_is_brought_to_one_form_and_not_stripped():
    assert load(password=" e\u0301 12345 ") == {"password": " é 12345 "}


@pytest.mark.parametrize("value", ["short", "a" * 201, "with\0nul00", "with\ncontrol", "\ud80012345678"])
def test_odd_passwords_are_refused(value):
    assert "password" in refused(password=value)


def test_an_avatar_is_an_address_or_nothing():
    assert load(avatar=None) == {"avatar": None}
    assert "avatar" in refused(avatar="javascript:alert(1)")


def test_a_refusal_tells_plain_data_by_field():
    with pytest.raises(ValidationError) as caught:
        load(memberIds=["a", 1.5], someNumber="x")
    told = refusal(caught.value)
    assert told.code.name == "invalid"
    assert set(told.details) == {"memberIds.1", "someNumber"}
    assert all(isinstance(sentence, str) for sentences in told.details.values() for sentence in sentences)
    orjson.dumps(told.as_data())
