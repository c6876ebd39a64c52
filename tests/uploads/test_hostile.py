"""Uploads by people who mean harm, or whose line is bad: each gets its answer, and nobody else notices."""

import io
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.chat.processes import descendants
from tests.clients.native import Client
from tests.clients.person import PATIENCE, Person, Refused
from tests.deployment import Deployment, Web, wait_for
from tests.uploads.hand import download, post, status, upload
from tests.uploads.pictures import bomb, encoded, opened, with_gps
from uploads.images import prepare

SCRIPT = b"<script>alert(document.domain)</script>"
NEVER_RUN = {"sandbox", "default-src 'none'"}
HARMLESS = {"image/jpeg", "image/png", "image/gif", "image/webp", "application/octet-stream", "text/plain"}


def files(deployment: Deployment) -> set[str]:
    return {str(path) for path in Path(deployment.environ["DATA_DIR"], "uploads").rglob("*") if path.is_file()}


def code(person: Person, data: bytes, name: str = "a.jpg") -> str:
    return str(post(person, data, name).json()["error"]["code"])


def assert_it_is_never_a_page(person: Person, address: str) -> None:
    answer = download(person, address)
    assert answer.headers["Content-Type"] in HARMLESS
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == NEVER_RUN
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if not answer.headers["Content-Type"].startswith("image/"):
        assert answer.headers["Content-Disposition"].startswith("attachment;")


def test_a_bomb_is_refused_without_being_lit(ann: Person, deployment: Deployment) -> None:
    before = files(deployment)
    begun = time.monotonic()
    assert code(ann, bomb(50_000, 50_000), "bomb.png") == "too_large"
    assert time.monotonic() - begun < 10
    assert files(deployment) == before


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_polyglot_is_an_image_and_nothing_else(ann: Person, form: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.html", SCRIPT)
    options = {"comment": SCRIPT} if form in ("JPEG", "GIF") else {}
    data = encoded(form, **options) + SCRIPT + archive.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(data))
    media = upload(ann, data, "evil.html")
    assert media["kind"] == "image"
    served = download(ann, media["url"]).content
    assert opened(served).format == form
    assert b"script" not in served
    assert not zipfile.is_zipfile(io.BytesIO(served))
    assert_it_is_never_a_page(ann, media["url"])


@pytest.mark.parametrize(
    "page",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"<!DOCTYPE html><html>" + SCRIPT,
        b"GIF89a/*" + b"\0" * 9 + b"*/=1;alert(1)",
        b"alert(1)",
    ],
)
def test_what_a_browser_could_run_can_only_be_saved(ann: Person, page: bytes) -> None:
    answer = post(ann, page, "picture.png")
    if not answer.ok:
        assert answer.json()["error"]["code"] == "unsupported_media"  # it says that it is an image, and is none
        return
    media = answer.json()
    assert media["kind"] == "file"
    assert not media["mimeType"].startswith("image/")
    assert_it_is_never_a_page(ann, media["url"])


@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil.sh", "..\\..\\evil.sh", "/etc/cron.d/evil.sh", "a/\u202ehs.live"]
)
def test_a_name_leads_nowhere_and_deceives_nobody(ann: Person, deployment: Deployment, name: str) -> None:
    before = files(deployment)
    media = upload(ann, b"echo evil", name)
    assert not set(media["name"]) & set("/\\\u202e")
    (made,) = files(deployment) - before
    assert "evil" not in made
    assert Path(made).name == f"{media['id']}.txt"
    said = download(ann, media["url"]).headers["Content-Disposition"]
    assert "/" not in said
    assert "%E2%80%AE" not in said
    assert not Path("/tmp/evil.sh").exists()


def test_a_photo_does_not_say_where_it_was_taken(ann: Person, deployment: Deployment) -> None:
    before = files(deployment)
    data = encoded("JPEG", exif=with_gps())
    assert b"SECRET PLACE" in data
    media = upload(ann, data)
    for path in files(deployment) - before:
        assert b"SECRET PLACE" not in Path(path).read_bytes()
        assert dict(opened(Path(path).read_bytes()).getexif()) == {}
    assert download(ann, media["url"]).status_code == 200


def test_a_cut_image_is_refused(ann: Person, deployment: Deployment) -> None:
    before = files(deployment)
    data = encoded("JPEG", 600, 400)
    assert code(ann, data[: len(data) // 2]) == "unsupported_media"
    assert files(deployment) == before


# The line.


def head(person: Person, length: str, path: str = "/api/v1/uploads") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\n{length}\r\n\r\n"
    ).encode()


def form(content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="media"; filename="a"\r\n\r\n' + content + b"\r\n--b--\r\n"


@contextmanager
def line(person: Person) -> Iterator[socket.socket]:
    port = int(person.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        yield sock


def answer_of(sock: socket.socket) -> bytes:
    """Return all that the server says before it ends the connection."""
    said = b""
    while piece := sock.recv(65_536):
        said += piece
    return said


def test_a_length_beyond_the_bound_is_refused_before_the_body_is_sent(ann: Person) -> None:
    with line(ann) as sock:
        sock.sendall(head(ann, "Content-Length: 11000000\r\nExpect: 100-continue"))
        said = answer_of(sock)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in said


def test_a_body_of_no_length_is_cut_off_at_the_bound(servers: Callable[..., Web]) -> None:
    person = Person(servers(UPLOAD_BYTES=100_000).url)
    with line(person) as sock:
        sock.sendall(head(person, "Transfer-Encoding: chunked"))
        piece = form(b"x" * 20_000)[:-9]
        with suppress(OSError):  # it is refused while we go on
            for _ in range(50):
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert b" 413 " in answer_of(sock)


def test_a_body_in_chunks_is_taken(ann: Person) -> None:
    with line(ann) as sock:
        body = form(b"hello")
        sock.sendall(head(ann, "Transfer-Encoding: chunked\r\nConnection: close"))
        for place in range(0, len(body), 10):
            piece = body[place : place + 10]
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        assert answer_of(sock).startswith(b"HTTP/1.1 201 ")


def test_a_body_shorter_than_it_said_leaves_nothing(ann: Person, deployment: Deployment) -> None:
    before = files(deployment)
    with line(ann) as sock:
        sock.sendall(head(ann, "Content-Length: 5000") + form(b"hello")[:-4])
        sock.shutdown(socket.SHUT_WR)
        said = answer_of(sock)
    assert b" 201 " not in said
    wait_for(lambda: files(deployment) == before, PATIENCE, "the file to be gone")


def test_a_body_longer_than_it_said_is_no_second_request(ann: Person) -> None:
    body = form(b"hello")
    with line(ann) as sock:
        sock.sendall(head(ann, f"Content-Length: {len(body)}") + body + b"EVIL\r\n\r\n" + body)
        said = answer_of(sock)
    assert said.startswith(b"HTTP/1.1 201 ")
    assert said.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in said
    with line(ann) as sock:
        sock.sendall(head(ann, f"Content-Length: {len(body) - 6}\r\nConnection: close") + body)
        assert answer_of(sock).startswith(b"HTTP/1.1 400 ")


def test_one_who_holds_the_line_holds_up_nobody_else(ann: Person, bob: Person, deployment: Deployment) -> None:
    before = files(deployment)
    with line(ann) as one, line(ann) as two, line(ann) as three, line(ann) as four:
        for sock in (one, two, three, four):
            sock.sendall(head(ann, "Content-Length: 100000") + form(b"hello" * 100)[:-10])
        wait_for(lambda: len(files(deployment) - before) == 4, PATIENCE, "four beginnings")
        refused = post(ann, b"hello")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert upload(bob, encoded())["kind"] == "image"
        kept = len(files(deployment) - before)
    assert kept == 6
    wait_for(lambda: len(files(deployment) - before) == 2, PATIENCE, "what was begun to be gone")
    assert upload(ann, b"hello")["kind"] == "file"


def test_a_hundred_at_once_are_taken_or_told_to_wait(deployment: Deployment) -> None:
    people = [Person(deployment.url) for _ in range(10)]
    data = encoded("JPEG", 800, 600)
    with ThreadPoolExecutor(100) as crowd:
        answers = list(crowd.map(lambda place: post(people[place % 10], data), range(100)))
    codes = {answer.status_code for answer in answers}
    assert codes <= {201, 429, 503}
    assert sum(answer.status_code == 201 for answer in answers) >= 40
    assert all(answer.headers.get("Retry-After") for answer in answers if answer.status_code != 201)
    assert len({answer.json()["id"] for answer in answers if answer.ok}) == sum(answer.ok for answer in answers)


def test_people_talk_on_while_others_upload(ann: Person, bob: Person, deployment: Deployment, tmp_path: Path) -> None:
    uploader, stop = Person(deployment.url), threading.Event()
    source = tmp_path / "source"
    noise = Image.effect_noise((4_600, 3_400), 60).convert("RGB")
    data = encoded("JPEG", image=noise, quality=40, exif=with_gps(orientation=6))  # which is costly to turn
    source.write_bytes(data)
    begun = time.monotonic()
    prepare(source, tmp_path / "target", tmp_path / "small", 1, 16_000_000)
    costs = time.monotonic() - begun
    taken = []

    def go_on() -> None:
        while not stop.is_set():
            taken.append(post(uploader, data).status_code)

    busy = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in busy:
        thread.start()
    try:
        client = Client(ann)
        waits: list[float] = []
        while taken.count(201) < 8:
            begun = time.monotonic()
            client.ask("message.send", toUser=bob.id, content="hi")
            waits.append(time.monotonic() - begun)
            assert set(taken) <= {201}
        client.close()
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    # On the loop nearly each image would keep one command waiting for as long as it takes, for one is always under way.
    assert len(waits) > 40
    assert sum(wait > costs / 2 for wait in waits) < len(taken) / 4


def test_who_takes_nothing_of_many_downloads_is_told_to_wait_and_costs_little(servers: Callable[..., Web]) -> None:
    web = servers(DOWNLOADS_PER_ADDRESS=20)
    person = Person(web.url)
    address = upload(person, os.urandom(8_000_000), "a.bin")["url"]
    before = resident(web)
    with ExitStack() as stack:
        answers = []
        for _ in range(60):
            sock = stack.enter_context(line(person))
            sock.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % address.encode())
            answers.append(sock.recv(12))
        assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 429")) == (20, 40)
        assert int(download(person, address).headers["Retry-After"]) >= 1
        assert resident(web) - before < 20 * 400_000
    wait_for(lambda: download(person, address).status_code == 200, PATIENCE, "the others to be gone")


def resident(web: Web) -> int:
    """Return the bytes of memory that a server's processes hold."""
    pids = [web.process.pid, *(process.pid for process in descendants(web.process.pid))]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in set(pids)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def test_nobody_reads_what_is_not_theirs(ann: Person, bob: Person, deployment: Deployment) -> None:
    eve = Person(deployment.url)
    media = upload(ann, encoded())
    message = ann.ask("message.send", toUser=bob.id, type="image", mediaId=media["id"])
    for address in (media["url"], media["thumbnailUrl"]):
        assert [status(person, address) for person in (ann, bob, eve)] == [200, 200, 404]
    with pytest.raises(Refused, match="not_a_member"):
        eve.history(message["conversationId"])
    with pytest.raises(Refused, match="unknown_media"):
        eve.ask("message.send", toUser=bob.id, type="image", mediaId=media["id"])


# The disk.

LIMITED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
sys.argv = ["gunicorn", "-c", "chat/webserver/settings.py", "wsgi:app"]
runpy.run_module("gunicorn", run_name="__main__")
"""


class NarrowWeb(Web):
    """A server that can write no file beyond a megabyte: its disk is full sooner than others'."""

    def start(self) -> None:
        environ = {**self._environ, "PORT": str(self.port), "HOST": "127.0.0.1"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", LIMITED], env=environ, stdout=log, stderr=log)
        wait_for(self.is_ready, PATIENCE, f"the web server, see {self._log}")


def test_a_full_disk_is_told_and_the_server_goes_on(deployment: Deployment, tmp_path: Path) -> None:
    web = NarrowWeb(deployment.environ, tmp_path / "web.log")
    web.start()
    try:
        person = Person(web.url)
        before = files(deployment)
        for size in (3_000_000, 1_020_000):  # of the second only a part of the last piece is taken
            full = post(person, bytes(size))
            assert (full.status_code, full.json()["error"]["code"]) == (503, "overloaded")
            assert full.json()["error"]["retryAfter"] > 1
        assert files(deployment) == before
        assert upload(person, b"hello")["kind"] == "file"
        assert "Traceback" not in (tmp_path / "web.log").read_text()
    finally:
        web.stop()
