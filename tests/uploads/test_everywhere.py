"""What a server does with uploads, wherever it keeps them: in a folder, in a bucket that browsers reach, in one that
they do not."""

from collections.abc import Callable

import pytest
import requests

from tests.bucket import Bucket
from tests.clients.person import PATIENCE, Person, Refused
from tests.deployment import Deployment
from tests.uploads.hand import download, post, status, upload
from tests.uploads.pictures import bomb, encoded, opened

SCRIPT = b"<script>alert(document.domain)</script>"
LARGE = bytes(range(256)) * 4_000


@pytest.fixture(params=["folder", "s3", "s3 behind the server"])
def url(request: pytest.FixtureRequest, deployment: Deployment, servers: Callable[..., object]) -> str:
    if request.param == "folder":
        return deployment.url
    bucket: Bucket = request.getfixturevalue("bucket")
    public = "none" if "behind" in request.param else ""
    return servers(STORAGE_URL=bucket.url, STORAGE_PUBLIC_URL=public).url


@pytest.fixture
def ann(url: str) -> Person:
    return Person(url)


@pytest.fixture
def bob(url: str) -> Person:
    return Person(url)


def test_an_image_is_shown_by_its_signed_address_and_so_is_its_thumbnail(ann: Person) -> None:
    media = upload(ann, encoded("PNG", 600, 400), "holiday.png")
    shown = download(ann, media["url"])
    assert (shown.status_code, shown.headers["Content-Type"], len(shown.content)) == (200, "image/png", media["size"])
    assert opened(shown.content).size == (600, 400)
    assert not shown.headers.get("Content-Disposition", "").startswith("attachment")
    assert "immutable" in shown.headers["Cache-Control"]
    small = download(ann, media["thumbnailUrl"])
    assert (small.headers["Content-Type"], opened(small.content).size) == ("image/jpeg", (480, 320))


def test_a_bare_address_is_for_whoever_may_see_it_and_is_asked_for_each_time(ann: Person, bob: Person) -> None:
    media = upload(ann, encoded())
    assert (status(ann, media["url"]), status(bob, media["url"])) == (200, 404)
    ann.ask("message.send", toUser=bob.id, type="image", mediaId=media["id"])
    answer = download(bob, media["thumbnailUrl"], token=True)
    assert (answer.status_code, answer.history) == (200, [])
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(bob.url + media["url"].partition("?")[0], timeout=PATIENCE).status_code == 401


def test_a_part_of_a_file_a_second_look_and_a_look_at_its_size(ann: Person) -> None:
    media = upload(ann, LARGE, "large.bin")
    part = download(ann, media["url"], Range="bytes=300000-300009")
    assert (part.status_code, part.content) == (206, LARGE[300_000:300_010])
    assert download(ann, media["url"]).content == LARGE
    whole = download(ann, media["url"], token=True)
    assert whole.content == LARGE
    again = download(ann, media["url"], **{"If-None-Match": whole.headers["ETag"]})
    assert (again.status_code, again.content, again.history) == (304, b"", [])
    head = download(ann, media["url"], method="HEAD")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(LARGE)), b"")


def test_a_polyglot_is_an_image_and_nothing_else(ann: Person) -> None:
    media = upload(ann, encoded("GIF", comment=SCRIPT) + SCRIPT, "evil.html")
    served = download(ann, media["url"])
    assert b"script" not in served.content
    assert served.headers["Content-Type"] == "image/gif"


@pytest.mark.parametrize(
    "page", [b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', b"<!DOCTYPE html>" + SCRIPT]
)
def test_what_a_browser_could_run_can_only_be_saved(ann: Person, page: bytes) -> None:
    media = upload(ann, page, "../später\u202egnp.html")
    served = download(ann, media["url"])
    assert served.content == page
    assert served.headers["Content-Type"] in ("text/plain", "application/octet-stream")
    said = served.headers["Content-Disposition"]
    assert said.startswith('attachment; filename="sp_tergnp.html"')
    assert "filename*=UTF-8''sp%C3%A4tergnp.html" in said


def test_what_is_refused_says_why(ann: Person) -> None:
    assert post(ann, encoded("PNG", 64, 48)[:100]).json()["error"]["code"] == "unsupported_media"
    with pytest.raises(Refused) as refused:
        upload(ann, bomb(50_000, 50_000))
    assert refused.value.error["details"] == {"unit": "pixels", "most": 50_000_000}
    with pytest.raises(Refused) as refused:
        upload(ann, bytes(10_485_761))
    assert refused.value.error["details"] == {"unit": "bytes", "most": 10_485_760}


def test_the_same_file_under_the_same_key_is_one_upload(ann: Person) -> None:
    def uploaded(data: bytes) -> requests.Response:
        head = {"Authorization": f"Bearer {ann.token}", "Idempotency-Key": "one"}
        return requests.post(
            f"{ann.url}/api/v1/uploads", headers=head, files={"media": ("a.bin", data)}, timeout=PATIENCE
        )

    first, second = uploaded(b"\0hello"), uploaded(b"\0hello")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert download(ann, first.json()["url"]).content == b"\0hello"
    other = uploaded(b"\0other")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
