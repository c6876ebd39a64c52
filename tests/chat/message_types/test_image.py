"""Image messages."""

import pytest

from chat.errors import ChatError
from chat.message_types import message_types
from chat.message_types.image import image


def test_image_is_found_by_being_there_and_takes_images_only() -> None:
    assert message_types()["image"] is image
    assert image.media == {"image"}


@pytest.mark.parametrize("content", [None, "", "  ", "\u200b"])
def test_an_image_without_words_can_be_shown_as_text(content: object) -> None:
    assert image.content({"content": content}, 100) == "[image]"


def test_words_stay_what_they_are() -> None:
    assert image.content({"content": " look "}, 100) == "look"
    with pytest.raises(ChatError, match="content_too_long"):
        image.content({"content": "x" * 6}, 5)
