"""Files in a bucket: what is so of S3 only, and what a server that is away, slow or of bad will does to it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from chat.storage_address import StorageAddress, storage_address
from tests.bucket import KEY_ID, SECRET, Bucket
from tests.deployment import ROOT, free_port
from uploads.storage import AwayError, s3
from uploads.storage.keys import key_of, thumbnail_key_of
from uploads.storage.s3 import LATENESS, PART_BYTES, S3, WINDOW
from uploads.workshop import STORE_THREADS

KEY = key_of("image", "ab" + "0" * 30, ".jpg")
NOON = 1_800_000_000 // WINDOW * WINDOW + 600  # ten minutes after an hour has begun


def address_of(url: str, public: str = "") -> StorageAddress:
    given = {"STORAGE_PUBLIC_URL": public, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "DATA_DIR": "/data"}
    found = storage_address(given | {"STORAGE_URL": url})
    assert found is not None
    return found


def at(port: int) -> str:
    return f"s3://{KEY_ID}:a%2Fsecret%2Bof=the%20tests@127.0.0.1:{port}/uploads?tls=off"


def put(storage: S3, key: str = KEY, data: bytes = b"0123456789") -> None:
    source = storage.incoming.path / "made"
    source.write_bytes(data)
    storage.put(source, key)


class Server(ThreadingHTTPServer):
    """Answers everything in one way, and counts."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], object]):
        self.asked = self.connections = 0
        super().__init__(("127.0.0.1", 0), _handler(answer, self))
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


def _handler(answer: Callable[[BaseHTTPRequestHandler], object], server: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def do_GET(self) -> None:
            server.asked += 1
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def says(status: int, code: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(request.param)
    yield made
    made.shutdown()
    made.server_close()


def failures(storage: S3) -> list[str]:
    """Ask for everything; return what is said of each failure."""
    said = []
    for ask in (
        lambda: put(storage),
        lambda: storage.open(KEY),
        lambda: storage.fetched(KEY).__enter__(),
        lambda: storage.delete(KEY),
        lambda: list(storage.keys("ab", 0)),
    ):
        with pytest.raises(AwayError) as failed:
            ask()
        said.append(str(failed.value))
        assert failed.value.__suppress_context__ or failed.value.__context__ is None
    assert not storage.is_there()
    return said


@pytest.mark.parametrize(
    "server", [says(403, "AccessDenied"), says(404, "NoSuchBucket"), says(400, "Odd")], indirect=True
)
def test_a_refusal_is_told_at_once_and_by_its_code(server: Server, tmp_path: Path) -> None:
    said = failures(S3(address_of(at(server.server_port)), tmp_path))
    assert server.asked == 6
    assert said[0].startswith("S3 refuses put_object: ")
    assert {sentence.rpartition(" ")[2] for sentence in said} <= {"AccessDenied", "NoSuchBucket", "Odd"}
    assert SECRET not in "".join(said)


@pytest.mark.parametrize("server", [says(500, "InternalError"), says(503, "SlowDown")], indirect=True)
def test_what_may_pass_is_tried_twice(server: Server, tmp_path: Path) -> None:
    storage = S3(address_of(at(server.server_port)), tmp_path)
    with pytest.raises(AwayError, match=r"put_object: (InternalError|SlowDown)"):
        put(storage)
    assert server.asked == s3.TRIES


def test_a_storage_that_is_away_is_not_asked_again_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAUSE_SECONDS", 60)
    storage = S3(address_of(at(free_port())), tmp_path)
    with pytest.raises(AwayError, match="EndpointConnectionError"):
        storage.open(KEY)
    assert set(failures(storage)) == {"S3 did not answer a moment ago"}
    monkeypatch.setattr(s3, "PAUSE_SECONDS", 0)
    storage._away_until = 0.0
    with pytest.raises(AwayError, match="EndpointConnectionError"):
        storage.open(KEY)
    with pytest.raises(AwayError, match="EndpointConnectionError"):
        storage.open(KEY)


def test_one_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 0.2)
    ended = threading.Event()
    server = Server(lambda _: bool(ended.wait(20)))
    begun = time.monotonic()
    with pytest.raises(AwayError, match="ReadTimeoutError"):
        S3(address_of(at(server.server_port)), tmp_path).open(KEY)
    assert time.monotonic() - begun < 10  # twice, it would be twenty
    ended.set()
    server.shutdown()
    server.server_close()


def test_a_file_that_takes_too_long_is_given_up(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = S3(address_of(bucket.url), tmp_path)
    put(storage)
    monkeypatch.setattr(s3, "FILE_SECONDS", -1_000)
    with pytest.raises(AwayError, match="too slow"):
        put(storage, thumbnail_key_of("ab" + "1" * 30))
    with pytest.raises(AwayError, match="too slow"), storage.fetched(KEY):
        pass
    assert [path.name for path in storage.incoming.path.iterdir()] == ["made"]  # whose it was, and who deletes it
    storage.delete(KEY)


def _cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)
    handler.close_connection = True


@pytest.mark.parametrize("server", [_cut_off], indirect=True)
def test_half_a_file_is_none(server: Server, tmp_path: Path) -> None:
    storage = S3(address_of(at(server.server_port)), tmp_path)
    with pytest.raises(AwayError), storage.fetched(KEY):
        pass
    with pytest.raises(AwayError):
        storage.open(KEY)
    assert list(storage.incoming.path.iterdir()) == []


def test_more_files_than_a_page_are_listed(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAGE", 2)
    storage = S3(address_of(bucket.url), tmp_path)
    keys = {key_of("file", f"ef{number:030x}", ".bin") for number in range(5)}
    for key in keys:
        put(storage, key)
    assert set(storage.keys("ef", -10)) == keys
    assert keys <= bucket.stored()
    for key in storage.keys("ef", -10):
        storage.delete(key)
    assert not keys & bucket.stored()


def test_what_is_stored_can_only_be_saved_by_whoever_finds_it_otherwise(bucket: Bucket, tmp_path: Path) -> None:
    storage = S3(address_of(bucket.url), tmp_path)
    put(storage)
    found = bucket.head(KEY)
    assert (found["ContentType"], found["ContentDisposition"]) == ("application/octet-stream", "attachment")
    storage.delete(KEY)


def test_a_small_file_comes_with_its_opening(bucket: Bucket, tmp_path: Path) -> None:
    storage = S3(address_of(bucket.url), tmp_path)
    put(storage, data=b"x" * PART_BYTES)
    opened = storage.open(KEY)
    storage.delete(KEY)
    assert opened is not None
    assert opened.read(0, PART_BYTES) == b"x" * PART_BYTES
    assert opened.read(PART_BYTES, 1) == b""


LONG = bytes(range(256)) * (5 * PART_BYTES // 512)  # two parts and a half


def _parts(handler: BaseHTTPRequestHandler) -> None:
    first, last = (int(number) for number in handler.headers["Range"].removeprefix("bytes=").split("-"))
    data = LONG[first : last + 1]
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{len(LONG)}")
    handler.end_headers()
    handler.wfile.write(data)


@pytest.mark.parametrize("server", [_parts], indirect=True)
def test_who_reads_on_in_small_pieces_asks_seldom(server: Server, tmp_path: Path) -> None:
    opened = S3(address_of(at(server.server_port)), tmp_path).open(KEY)
    assert opened is not None
    pieces = [opened.read(place, 65_536) for place in range(0, opened.size, 65_536)]
    assert b"".join(pieces) == LONG
    assert server.asked == 3
    assert opened.read(1_000, 10) == LONG[1_000:1_010]  # and back


def _well(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.01)
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


# What a web process is: patched, with calls in several threads, over connections that stay open.
PROCESS = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent
from pathlib import Path
from tests.uploads.storage.test_s3 import S3, address_of, at
from uploads.workshop import Workshop
storage, workshop = S3(address_of(at(int(sys.argv[1]))), Path(sys.argv[2])), Workshop()
for _ in range(10):
    asked = [gevent.spawn(workshop.store, storage.is_there) for _ in range(16)]
    gevent.joinall(asked, timeout=20, raise_error=True)
    assert [each.value for each in asked] == [True] * 16, asked
"""


@pytest.mark.parametrize("server", [_well], indirect=True)
def test_several_threads_of_a_web_process_ask_at_a_time(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(server.server_port), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (server.asked, server.connections) == (160, STORE_THREADS)


def test_an_address_is_the_same_for_an_hour_and_good_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, day = S3(address_of(at(1)), tmp_path), 86_400

    def address(now: float, seconds: float = day) -> tuple[str, int]:
        monkeypatch.setattr(time, "time", lambda: now)
        found = storage.address(KEY, {"Content-Type": "image/jpeg"}, seconds)
        assert found is not None
        return found

    begun, early, late, next_one = (address(NOON + more) for more in (-600, 0, 2_999, 3_000))
    assert begun[0] == early[0] == late[0] != next_one[0]
    assert f"X-Amz-Expires={2 * WINDOW}&" in early[0]
    assert begun[1] == 2 * WINDOW - LATENESS
    assert late[1] == WINDOW + 1 - LATENESS
    assert "response-cache-control=private%2C%20immutable%2C%20max-age=7200" in early[0].replace("%3D", "=")


def test_no_address_outlives_the_signature_that_it_is_given_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = S3(address_of(at(1)), tmp_path)
    monkeypatch.setattr(time, "time", lambda: NOON + 0.5)
    found = storage.address(KEY, {}, 999.3)  # until 600 + 999.8 seconds after the hour
    assert found is not None
    assert "X-Amz-Expires=1600&" in found[0]
    assert found[1] == 999 - LATENESS
    assert storage.address(KEY, {}, LATENESS) is None


def test_browsers_that_do_not_reach_it_are_not_sent_there(tmp_path: Path) -> None:
    assert S3(address_of(at(1), "none"), tmp_path).address(KEY, {}, 86_400) is None
    found = S3(address_of(at(1), "https://media.example.org"), tmp_path).address(KEY, {}, 86_400)
    assert found is not None
    assert found[0].startswith(f"https://media.example.org/uploads/{KEY}?")


def test_an_address_gives_the_file_with_the_headers_that_it_says(bucket: Bucket, tmp_path: Path) -> None:
    storage = S3(address_of(bucket.url), tmp_path)
    put(storage)
    found = storage.address(KEY, {"Content-Type": "image/jpeg", "Content-Disposition": "inline"}, 86_400)
    assert found is not None
    answer = requests.get(found[0], headers={"Range": "bytes=2-4"}, timeout=20)
    assert (answer.status_code, answer.content) == (206, b"234")
    assert (answer.headers["Content-Type"], answer.headers["Content-Disposition"]) == ("image/jpeg", "inline")
    assert answer.headers["Cache-Control"] == f"private, immutable, max-age={2 * WINDOW}"
    storage.delete(KEY)
