"""File messages."""

from chat.message_types import message_types
from chat.message_types.file import file


def test_file_is_found_by_being_there_and_takes_every_upload() -> None:
    assert message_types()["file"] is file
    assert {"image", "file"} <= file.media


def test_without_words_the_uploads_name_stands_in() -> None:
    assert file.content({}, 100) == ""
    assert file.content({"content": " read this "}, 100) == "read this"
