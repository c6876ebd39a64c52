"""A form with a file, read while it comes in."""

from collections.abc import Iterator

import pytest

from chat.errors import ChatError
from uploads.receiving import OVERHEAD, receive

MOST = 200_000
HEAD = 16


def part(content: bytes, name: str = "media", file_name: str | None = "a.txt") -> bytes:
    named = f'; filename="{file_name}"' if file_name is not None else ""
    return (
        f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\nContent-Type: text/html\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


class Line:
    """A connection that brings a body in pieces, and counts what was read of it."""

    def __init__(self, body: bytes, piece: int = 65_536):
        self.rest, self.piece, self.count = body, piece, 0

    def read(self, most: int) -> bytes:
        taken = self.rest[: min(most, self.piece)]
        self.rest = self.rest[len(taken) :]
        self.count += len(taken)
        return taken


def taken(line: Line, most: int = MOST) -> tuple[int, bytes, str, bytes]:
    written: list[bytes] = []
    received = receive(line.read, "b", most, HEAD, written.append)
    return (*received, b"".join(written))


def refusal(line: Line) -> str:
    with pytest.raises(ChatError) as refused:
        taken(line)
    return refused.value.code.name


@pytest.mark.parametrize("piece", [1, 7, 100, 65_536])
def test_the_file_comes_out_as_it_went_in_however_it_trickles(piece: int) -> None:
    content = b"\r\n--b not yet\n--c\r\n" + bytes(range(256)) * 4 + b"\r"
    size, head, name, written = taken(Line(form(part(content)), piece))
    assert (size, head, name, written) == (len(content), content[:HEAD], "a.txt", content)


def test_other_fields_of_a_form_are_let_pass() -> None:
    body = form(part(b"images", "mediaType", None), part(b"hello"), part(b"x" * 1_000, "more", None))
    assert taken(Line(body))[3] == b"hello"


def test_a_file_of_just_the_bound_is_taken_and_one_byte_more_is_not() -> None:
    assert taken(Line(form(part(b"x" * MOST))))[0] == MOST
    assert refusal(Line(form(part(b"x" * (MOST + 1))))) == "too_large"


def test_reading_ends_at_the_bound_whatever_is_still_to_come() -> None:
    line = Line(form(part(b"x" * 50 * MOST)))
    assert refusal(line) == "too_large"
    assert line.count <= MOST + OVERHEAD


def test_what_is_no_file_counts_as_well() -> None:
    line = Line(form(part(b"x" * 50 * MOST, "other", None), part(b"hello")))
    assert refusal(line) == "too_large"
    assert line.count <= MOST + 2 * OVERHEAD


def test_many_parts_and_a_head_without_end_are_refused() -> None:
    assert refusal(Line(form(*[part(b"", f"f{place}", None) for place in range(20)], part(b"hello")))) == "too_large"
    line = Line(b'--b\r\nContent-Disposition: form-data; name="media"; x="' + b"x" * 10 * MOST)
    assert refusal(line) == "too_large"
    assert line.count <= MOST + 2 * OVERHEAD


def bodies() -> Iterator[tuple[str, bytes]]:
    yield "another field", form(part(b"hello", "file"))
    yield "no file", form(part(b"hello", "media", None))
    yield "two files", form(part(b"hello"), part(b"hello"))
    yield "an empty file", form(part(b""))
    yield "nothing", b""
    yield "an empty form", form()
    yield "no form", b"hello"
    yield "cut in the file", form(part(b"hello" * 100))[:-300]
    yield "cut in the end", form(part(b"hello"))[:-5]
    yield "cut in the head", part(b"hello")[:30]
    yield "a head that is no text", b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n'
    yield "no disposition", b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"


@pytest.mark.parametrize("body", [body for _, body in bodies()], ids=[name for name, _ in bodies()])
def test_what_is_no_whole_form_with_one_file_is_invalid(body: bytes) -> None:
    assert refusal(Line(body)) == "invalid"


def test_a_disk_that_is_full_is_told_as_it_is() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        receive(Line(form(part(b"hello"))).read, "b", MOST, HEAD, full.write)
