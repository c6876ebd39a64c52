import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import ChatError
from chat.paging import page_cursor, read_page_cursor


def test_a_cursor_gives_back_the_key_it_was_made_of():
    assert read_page_cursor(page_cursor("é", 2**62, True), str, int, bool) == ("é", 2**62, True)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "====",
        "a" * 5_000,
        "\ud800",
        page_cursor("a"),
        page_cursor(1, "a"),
        page_cursor("a\0", 1),
        page_cursor("a", True),
        page_cursor("a", 2**63),
        page_cursor({"a": 1}, 1),
    ],
)
def test_a_made_up_cursor_is_invalid_and_named(cursor):
    with pytest.raises(ChatError) as refusal:
        read_page_cursor(cursor, str, int)
    assert refusal.value.code.name == "invalid"
    assert "cursor" in refusal.value.details


@given(st.text())
def test_no_text_is_more_than_an_invalid_cursor(text):
    with pytest.raises(ChatError):
        read_page_cursor(text, str, int, str)
