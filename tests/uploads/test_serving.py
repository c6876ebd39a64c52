"""A stored file as an answer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from flask import Flask

from chat.errors import ChatError
from uploads.places import Places
from uploads.serving import PIECE, Served, respond, sent_elsewhere, unchanged
from uploads.workshop import Workshop

CONTENT = bytes(range(256)) * 2_048  # eight pieces
SERVED = Served("image/png", "tag", 1_000, "")


class Stored:
    """A file that says what was done with it."""

    size = len(CONTENT)

    def __init__(self) -> None:
        self.closed = 0
        self.reads: list[int] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append(length)
        return CONTENT[offset : offset + length]

    def close(self) -> None:
        self.closed += 1


def asked(method: str = "GET", seconds: int = 1_000, file_name: str = "", **headers: str) -> tuple[Any, Stored]:
    app, stored, workshop, downloads = Flask(__name__), Stored(), Workshop(), Places(1, 1, "downloads")
    served = Served("image/png", "tag", seconds, file_name)
    app.add_url_rule("/", "file", lambda: respond(stored, served, workshop, downloads), methods=["GET"])
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = app.test_client().open("/", method=method, headers=named, buffered=True)
    assert downloads.taken == 0
    return answer, stored


@contextmanager
def pieces(stored: Stored, downloads: Places) -> Iterator[Iterator[bytes]]:
    with Flask(__name__).test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        answer = respond(stored, Served("image/png", "tag", 0, ""), Workshop(), downloads)
        yield iter(answer.response)  # type: ignore[arg-type]
        answer.close()


def test_a_file_goes_out_in_pieces_and_is_closed() -> None:
    answer, stored = asked()
    assert (answer.status_code, answer.data) == (200, CONTENT)
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert stored.reads == [PIECE] * (len(CONTENT) // PIECE)
    assert stored.closed == 1


def test_it_can_be_kept_and_never_run() -> None:
    answer, _ = asked()
    assert answer.headers["Cache-Control"] == "private, immutable, max-age=1000"
    assert answer.headers["ETag"] == '"tag"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Content-Type"] == "image/png"
    assert "Content-Disposition" not in answer.headers
    assert asked(seconds=0)[0].headers["Cache-Control"] == "private, no-cache"
    assert asked(file_name="a.pdf")[0].headers["Content-Disposition"].startswith("attachment; ")


def test_a_head_has_no_body_and_the_file_is_closed() -> None:
    answer, stored = asked("HEAD", Range="bytes=0-1")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert stored.closed == 1


@pytest.mark.parametrize("tags", ['"tag"', 'W/"tag"', '"other", "tag"', "*"])
def test_what_a_cache_has_is_not_sent_again(tags: str) -> None:
    with Flask(__name__).test_request_context(headers={"If-None-Match": tags}):
        answer = unchanged(SERVED)
    assert answer is not None
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == '"tag"'


def test_what_a_cache_does_not_have_is_sent() -> None:
    for headers in ({}, {"If-None-Match": '"other"'}):
        with Flask(__name__).test_request_context(headers=headers):
            assert unchanged(SERVED) is None


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=300000-", 300_000, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        ("bytes=10-99999999", 10, len(CONTENT)),
    ],
)
def test_a_part_is_sent_if_a_part_is_asked_for(wanted: str, begin: int, end: int) -> None:
    answer, stored = asked(Range=wanted)
    assert (answer.status_code, answer.data) == (206, CONTENT[begin:end])
    assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(end - begin)
    assert stored.closed == 1


@pytest.mark.parametrize("wanted", [f"bytes={len(CONTENT)}-", "bytes=99999999-100000000"])
def test_a_part_that_is_not_there_is_refused_with_the_length(wanted: str) -> None:
    answer, stored = asked(Range=wanted)
    assert (answer.status_code, answer.data) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
    assert stored.closed == 1


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=9-5", "lines=0-1", "nonsense", "bytes=", "bytes=a-b"])
def test_several_parts_and_nonsense_are_answered_by_all(wanted: str) -> None:
    answer, _ = asked(Range=wanted)
    assert (answer.status_code, len(answer.data)) == (200, len(CONTENT))


def test_a_part_of_what_has_changed_since_is_all_of_it() -> None:
    assert asked(Range="bytes=0-1", If_Range='"tag"')[0].status_code == 206
    assert asked(Range="bytes=0-1", If_Range='"other"')[0].status_code == 200


class Elsewhere:
    """A storage with addresses of its own; says for what it was asked."""

    def __init__(self, found: tuple[str, int] | None):
        self.found, self.asked = found, []

    def address(self, *asked: Any) -> tuple[str, int] | None:
        self.asked.append(asked)
        return self.found


def sent(found: tuple[str, int] | None, served: Served = SERVED, method: str = "GET") -> tuple[Any, list[Any]]:
    storage: Any = Elsewhere(found)
    with Flask(__name__).test_request_context(method=method):
        return sent_elsewhere(storage, "images/a.png", served), storage.asked


def test_a_browser_is_sent_to_where_the_file_lies_and_may_keep_that() -> None:
    answer, asked_for = sent(("https://s3.example/a?x", 940))
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://s3.example/a?x")
    assert answer.headers["Cache-Control"] == "private, max-age=940"
    assert asked_for == [("images/a.png", {"Content-Type": "image/png", "Content-Disposition": "inline"}, 1_000)]


def test_what_is_no_image_is_only_to_be_saved_there_too() -> None:
    ((_, headers, _),) = sent(("https://s3.example/a", 1), SERVED._replace(file_name="a.html"))[1]
    assert headers["Content-Disposition"].startswith('attachment; filename="a.html"')


def test_nobody_is_sent_away_with_a_token_for_a_look_at_the_head_or_where_there_is_nothing() -> None:
    assert sent(("https://s3.example/a", 1), SERVED._replace(seconds=0)) == (None, [])
    assert sent(("https://s3.example/a", 1), method="HEAD") == (None, [])
    assert sent(None)[0] is None


def test_there_are_so_many_downloads_at_a_time_and_who_is_refused_holds_no_file() -> None:
    downloads, stored, refused = Places(5, 1, "downloads"), Stored(), Stored()
    with pieces(stored, downloads) as sent:
        next(sent)
        assert downloads.taken == 1
        with pytest.raises(ChatError, match="rate_limited"), pieces(refused, downloads):
            pass
        assert (refused.closed, stored.closed) == (1, 0)
    assert (downloads.taken, stored.closed) == (0, 1)
    with pieces(Stored(), downloads) as sent:
        assert b"".join(sent) == CONTENT


def test_who_does_not_take_a_piece_is_waited_for_no_longer_than_a_poor_line_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.pace.GRACE_SECONDS", 0.05)
    monkeypatch.setattr("chat.pace.BYTES_A_SECOND", 100 * PIECE)
    with pieces(Stored(), Places(1, 1, "downloads")) as sent:
        for _ in range(8):  # at half the pace: each takes 10 ms more than it may
            next(sent)
            try:
                gevent.sleep(0.02)
            except TimeoutError:
                return
    raise AssertionError("nobody minds")


def test_the_time_in_which_we_read_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.pace.GRACE_SECONDS", 0.05)
    stored = Stored()
    read = stored.read
    monkeypatch.setattr(stored, "read", lambda *where: (time.sleep(0.03), read(*where))[1])
    with pieces(stored, Places(1, 1, "downloads")) as sent:
        assert b"".join(sent) == CONTENT
        gevent.sleep(0.1)  # and nothing is waited for afterwards
