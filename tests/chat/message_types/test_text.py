"""Text messages."""

import pytest

from chat.errors import ChatError
from chat.message_types import message_types
from chat.message_types.text import text


def test_text_is_found_by_being_there() -> None:
    assert message_types()["text"] is text


def test_blanks_at_the_ends_are_cut() -> None:
    assert text.content({"content": " \n hello  you\t"}, 100) == "hello  you"


@pytest.mark.parametrize("content", [None, "", " \n\t ", "\u3000", "\u200b", " \u200d\n\ufe0f "])
def test_what_is_empty_is_refused(content: object) -> None:
    with pytest.raises(ChatError, match="empty_content"):
        text.content({"content": content}, 100)


@pytest.mark.parametrize("content", ["👩\u200d👩\u200d👧", "❤\ufe0f", "\u200fשלום", "می\u200cخواهم", "\u2060.", "0"])
def test_what_cannot_be_seen_stays_where_something_can(content: str) -> None:
    assert text.content({"content": content}, 100) == content


def test_the_length_is_counted_in_characters_after_cutting() -> None:
    assert text.content({"content": " " + "é" * 5}, 5) == "é" * 5
    with pytest.raises(ChatError) as refused:
        text.content({"content": "é" * 6}, 5)
    assert refused.value.code.name == "content_too_long"
    assert refused.value.details == {"most": 5}
