"""Cursors go round whatever they hold, and whatever a client makes up is none."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cursor import LARGEST, LATELY, LONGEST, NONCE, RECENT, Cursor

numbers = st.integers(0, LARGEST - 1)
marks = st.text("abcdef0123456789-", max_size=24)
seen = st.dictionaries(numbers, st.tuples(numbers, numbers), max_size=RECENT)
lately = st.lists(st.tuples(numbers, numbers), max_size=LATELY).map(tuple)


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


@given(st.text(max_size=200) | st.text("abc019-_.~", max_size=200))
def test_garbage_is_no_cursor_and_harms_nobody(text: str) -> None:
    cursor = Cursor.decode(text)
    assert cursor is None or isinstance(cursor, Cursor)


@given(st.from_regex(r"g-1\.e-1(\.[0-9]{1,18}){2}\.s\.1(\.([0-9]{1,18}[_-]?){0,12}){2}", fullmatch=True))
def test_what_looks_like_a_cursor_is_none_or_holds_numbers_that_can_be_asked_with(text: str) -> None:
    cursor = Cursor.decode(text)
    if cursor is not None:
        numbers = [
            cursor.n,
            cursor.time_us,
            *cursor.seen,
            *(number for pair in [*cursor.seen.values(), *cursor.lately] for number in pair),
        ]
        assert all(type(number) is int and 0 <= number < LARGEST for number in numbers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g.e.-1.1.s.2..",
        "g.e.10000000000000000.1.s.2..",
        "g.e.1e3.1.s.2..",
        "g.e.1.9007199254740992.s.2..",
        "g.e.1.1.s.2.9223372036854775808-1-1.",
        "g.e.1.1.s.2.1--1-1.",
        "g.e.1.1.s.2.1-1.",
        "g.e.1.1.s.2.",
        "g.e.1.1.s.-2..",
        "g.e.1.1.s.2..1--1",
        "g.e.1.1.s.2..1-1-1",
        "g.e.1.1.s.2..1",
        "g.e.1.1.s.2.._",
        "g.e.\u0661.1.s.2..",
        "g.e.1.1.s.2..\n",
        "g e.e.1.1.s.2..",
    ],
)
def test_what_would_make_redis_or_the_database_fail_is_no_cursor(text: str) -> None:
    assert Cursor.decode("g.e.1.1.s.2.1-2-3_4-5-6.4-5") is not None
    assert Cursor.decode(text) is None


def test_what_is_too_long_for_a_url_is_not_even_looked_at() -> None:
    long = f"g.e.1.1.{'s' * LONGEST}..."
    assert Cursor.decode(long) is None


@given(st.builds(Cursor, marks, marks, numbers, numbers, marks, seen, lately))
def test_its_text_stands_in_a_url_as_it_is(cursor: Cursor) -> None:
    cursor = cursor._replace(session_id=f"{cursor.session_id}{NONCE}7")
    assert Cursor.decode(cursor.encode()) == cursor
    assert quote(cursor.encode(), safe="") == cursor.encode()
    assert "~" not in cursor.encode()  # which a browser's forms write as %7E
