"""Cursors go round whatever they hold, and whatever a client makes up is none."""

from base64 import urlsafe_b64encode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cursor import LARGEST, LATELY, LONGEST, RECENT, Cursor

numbers = st.integers(0, LARGEST - 1)
marks = st.text("abcdef0123456789-", max_size=24)
seen = st.dictionaries(numbers, st.tuples(numbers, numbers), max_size=RECENT)
lately = st.lists(st.tuples(numbers, numbers), max_size=LATELY).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=20,
)


def packed(value: object) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


@given(st.builds(Cursor, marks, marks, numbers, numbers, marks, seen, lately))
def test_a_cursor_comes_back_as_it_went_and_fits_into_a_url(cursor: Cursor) -> None:
    text = cursor.encode()
    assert len(text) <= LONGEST
    assert Cursor.decode(text) == cursor


def test_only_the_conversations_seen_last_are_named() -> None:
    many = {number: (number, number) for number in range(1, RECENT + 10)}
    back = Cursor.decode(Cursor("g", "e", 1, 1, "s", many).encode())
    assert back is not None
    assert list(back.seen) == list(many)[-RECENT:]


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_garbage_is_no_cursor_and_harms_nobody(text: str) -> None:
    cursor = Cursor.decode(text)
    assert cursor is None or isinstance(cursor, Cursor)


@given(json_values | st.tuples(*[json_values] * 7).map(list))
def test_json_that_is_no_cursor_is_none_or_holds_numbers_that_can_be_asked_with(value: object) -> None:
    cursor = Cursor.decode(packed(value))
    if cursor is not None:
        numbers = [
            cursor.n,
            cursor.time_us,
            *cursor.seen,
            *(number for pair in [*cursor.seen.values(), *cursor.lately] for number in pair),
        ]
        assert all(type(number) is int and 0 <= number < LARGEST for number in numbers)


@pytest.mark.parametrize(
    "fields",
    [
        ("g", "e", -1, 1, "s", [], []),
        ("g", "e", 10**19, 1, "s", [], []),
        ("g", "e", 1e30, 1, "s", [], []),
        ("g", "e", 1, 2**63, "s", [], []),
        ("g", "e", 1, 1, "s", [[2**63, 1, 1]], []),
        ("g", "e", 1, 1, "s", [[1, -1, 1]], []),
        ("g", "e", 1, 1, "s", [[1, 1]], []),
        ("g", "e", 1, 1, "s", []),
        ("g", "e", 1, 1, "s", [], [[1, -1]]),
        ("g", "e", 1, 1, "s", [], [[1, 1, 1]]),
        ("g", "e", 1, 1, "s", [], [1]),
        ("g", "e", True, 1, "s", [], []),
    ],
)
def test_numbers_that_would_make_redis_or_the_database_fail_are_no_cursor(fields: tuple[object, ...]) -> None:
    assert Cursor.decode(packed(fields)) is None


def test_what_is_too_long_for_a_url_is_not_even_looked_at() -> None:
    long = packed(["g", "e", 1, 1, "s" * LONGEST, [], []])
    assert Cursor.decode(long) is None
    assert Cursor.decode("") is None
