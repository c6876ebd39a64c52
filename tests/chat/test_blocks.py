"""A block comes back as it was written, and what is none is none."""

from typing import Any

import orjson
import pytest

from chat.blocks import BLOCK, Block, block_of, kept_line, line_json
from chat.entries import entry_json
from chat.media_address import sign_with


def row(seq: int, content: str = "hi", body: str | None = None) -> list[Any]:
    return [7, None, None, seq, seq, "ann", "local", "text", content, body, 1_700_000_000_000_000, None, None]


def test_a_block_comes_back_as_it_was_written() -> None:
    lines = [kept_line(row(seq, content)) for seq, content in ((65, "one\ntwo\u2028"), (66, "\\n {} 🙂"), (67, ""))]
    block = Block("genesis", 9, 65, 1_700_000_000_000_000, lines)
    assert Block.read(block.encoded()) == block
    assert block.last == 67
    assert [orjson.loads(line_json(line))["content"] for line in lines] == ["one\ntwo\u2028", "\\n {} 🙂", ""]


def test_an_entry_is_kept_as_it_goes_out_but_for_media() -> None:
    sign_with({"MEDIA_SECRET": "of this test", "JWT_SECRET": ""})
    media = '{"media":{"id":"%s","kind":"image","url":"/uploads/images/a.png"}}' % ("a" * 32)
    plain, pictured = row(1, body='{"metadata":{"media":{"id":"x"}}}'), row(2, body=media)
    assert kept_line(plain) == entry_json(plain)
    assert b"?e=" not in kept_line(pictured)
    assert line_json(kept_line(pictured)) == entry_json(pictured)
    assert b"a.png?e=" in line_json(kept_line(pictured))


@pytest.mark.parametrize(
    "text", [b"", b"1", b"1 g 1 1 1", b"2 g 1 1 1\n{}", b"1 g x 1 1\n{}", b"1 g 1 1\n{}", b"\xff \xff 1 1 1\n{}"]
)
def test_what_is_no_block_is_none(text: bytes) -> None:
    assert Block.read(text) is None


@pytest.mark.parametrize(("seq", "block"), [(1, 0), (BLOCK, 0), (BLOCK + 1, 1), (2 * BLOCK, 1)])
def test_blocks_are_numbered_from_the_first_entry_on(seq: int, block: int) -> None:
    assert block_of(seq) == block
