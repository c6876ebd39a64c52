"""Uploads in a bucket: where browsers are sent, what they may keep, and what happens while the storage is away."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.bucket import KEY_ID, SECRET, Bucket
from tests.clients.native import Client
from tests.clients.person import PATIENCE, Person
from tests.deployment import Deployment, Web, wait_for
from tests.uploads.hand import download, post, upload
from tests.uploads.pictures import encoded


@pytest.fixture
def web(servers: Callable[..., Web], bucket: Bucket) -> Web:
    return servers(STORAGE_URL=bucket.url, STORAGE_PUBLIC_URL="")


@pytest.fixture
def ann(web: Web) -> Person:
    return Person(web.url)


def answer_of(person: Person, address: str, method: str = "GET", **headers: str) -> requests.Response:
    """Ask, and go nowhere else."""
    return requests.request(method, person.url + address, headers=headers, timeout=PATIENCE, allow_redirects=False)


def unfinished(deployment: Deployment) -> set[Path]:
    """Return what lies there; a process that another test killed may have left something."""
    return set(Path(deployment.environ["DATA_DIR"], "uploads", "incoming").iterdir())


def test_a_signed_address_sends_everybody_to_the_same_place_for_a_while(ann: Person, bucket: Bucket) -> None:
    media = upload(ann, encoded())
    first, second = answer_of(ann, media["url"]), answer_of(Person(ann.url), media["url"])
    assert (first.status_code, first.content) == (302, b"")
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["Location"].startswith(f"{bucket.endpoint}/{bucket.name}/images/{media['id']}.jpg?")
    keep, _, seconds = first.headers["Cache-Control"].rpartition("=")
    assert keep == "private, max-age"
    signed = parse_qs(urlsplit(first.headers["Location"]).query)
    assert 3_000 < int(seconds) < int(signed["X-Amz-Expires"][0]) <= 7_200
    assert signed["response-content-type"] == ["image/jpeg"]
    assert first.headers["Referrer-Policy"] == "no-referrer"
    assert first.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_pages_of_other_origins_are_let_through_on_the_way(ann: Person) -> None:
    media = upload(ann, encoded())
    sent = answer_of(ann, media["url"], Origin="http://localhost:3000")
    assert (sent.status_code, sent.headers["Access-Control-Allow-Origin"]) == (302, "http://localhost:3000")


def test_who_comes_with_a_token_is_sent_nowhere(ann: Person) -> None:
    media = upload(ann, encoded())
    bare = media["url"].partition("?")[0]
    assert answer_of(ann, bare, Authorization=f"Bearer {ann.token}").status_code == 200
    assert answer_of(ann, bare, Cookie=f"chat_session={ann.token}").status_code == 200
    assert answer_of(ann, media["url"], "HEAD").status_code == 200


def test_an_old_signature_sends_nobody_anywhere(ann: Person) -> None:
    path, _, query = upload(ann, encoded())["url"].partition("?")
    assert answer_of(ann, f"{path}?{query}x").status_code == 401


def test_the_page_may_show_pictures_of_the_bucket(web: Web, bucket: Bucket) -> None:
    policy = requests.get(web.url, timeout=PATIENCE).headers["Content-Security-Policy"]
    assert f"img-src 'self' {bucket.endpoint} data: blob:" in policy


def test_files_of_an_upload_lie_in_the_bucket_and_nowhere_else(
    ann: Person, bucket: Bucket, deployment: Deployment
) -> None:
    before, others = bucket.stored(), unfinished(deployment)
    name = upload(ann, encoded())["id"]
    assert bucket.stored() - before == {f"images/{name}.jpg", f"thumbnails/{name}_thumb.jpg"}
    assert [path for path in Path(deployment.environ["DATA_DIR"]).rglob(f"*{name}*") if path.is_file()] == []
    assert unfinished(deployment) == others


def part_up(web: Web) -> int:
    found = re.search(r'chat_part_up\{part="storage"\} (\d)', requests.get(f"{web.url}/metrics", timeout=PATIENCE).text)
    assert found is not None
    return int(found[1])


def ready(web: Web) -> dict[str, str]:
    answer = requests.get(f"{web.url}/readyz", timeout=PATIENCE)
    assert answer.status_code == 200
    return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
def lonely(frail_bucket: Bucket, servers: Callable[..., Web]) -> Web:
    """A server with a bucket that is harmed."""
    return servers(STORAGE_URL=frail_bucket.url)


def test_a_storage_that_is_away_is_told_and_chat_goes_on(
    lonely: Web, frail_bucket: Bucket, deployment: Deployment
) -> None:
    ann, bob = Person(lonely.url), Person(lonely.url)
    media, others = upload(ann, encoded()), unfinished(deployment)
    assert (ready(lonely)["storage"], part_up(lonely)) == ("ok", 1)
    frail_bucket.kill()
    answer = post(ann, encoded())
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) == error["retryAfter"] == 10
    assert download(ann, media["url"], token=True).status_code == 503
    assert (ready(lonely)["storage"], part_up(lonely)) == ("degraded", 0)
    assert unfinished(deployment) == others
    assert ann.send(bob, "still here")["seq"]
    frail_bucket.start()
    wait_for(lambda: post(ann, encoded()).ok, PATIENCE, "uploads to be taken again")
    wait_for(lambda: ready(lonely)["storage"] == "ok", PATIENCE, "the storage to be back")
    log = lonely._log.read_text()
    assert "The storage of uploads: S3 does not answer put_object: EndpointConnectionError" in log
    assert "Traceback" not in log
    told = log + answer.text + requests.get(f"{lonely.url}/metrics", timeout=PATIENCE).text + str(ready(lonely))
    for secret in (SECRET, "a%2Fsecret", KEY_ID):
        assert secret not in told


def test_a_storage_that_hangs_holds_up_uploads_and_nobody_who_chats(lonely: Web, frail_bucket: Bucket) -> None:
    ann, bob = Person(lonely.url), Person(lonely.url)
    uploaders = [Person(lonely.url) for _ in range(6)]
    client = Client(bob)
    frail_bucket.freeze()
    answers: list[requests.Response] = []
    uploading = [
        threading.Thread(target=lambda each=each: answers.append(post(each, encoded())), daemon=True)
        for each in uploaders
        for _ in range(2)
    ]
    for each in uploading:
        each.start()
    wait_for(lambda: held(lonely) >= 8, PATIENCE, "uploads that are under way")
    slowest = 0.0
    for turn in range(20):
        begun = time.monotonic()
        message = ann.send(bob, f"{turn}")
        client.wait("message", lambda data, of=message: data["id"] == of["id"])
        slowest = max(slowest, time.monotonic() - begun)
    assert answers == []
    assert slowest < 5  # the storage says nothing for ten
    frail_bucket.thaw()
    for each in uploading:
        each.join(PATIENCE)
    assert {answer.status_code for answer in answers} == {201}
    client.close()


def held(web: Web) -> int:
    found = re.findall(r"^chat_uploads\{[^}]*\} (\d+)", requests.get(f"{web.url}/metrics", timeout=PATIENCE).text, re.M)
    return sum(map(int, found))
