"""Uploads over HTTP, and who may see them."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from chat.media_address import sign_with, signed
from tests.clients.person import PATIENCE, Person, Refused
from tests.deployment import SECRET, Deployment
from tests.uploads.hand import download, post, status, upload
from tests.uploads.pictures import encoded, opened

STRANGERS_COOKIE = {"Origin": "https://elsewhere.example"}


@pytest.fixture
def eve(deployment: Deployment) -> Person:
    return Person(deployment.url)


def sent(
    sender: Person, place: Person | str, media: dict[str, Any], kind: str = "image", **more: Any
) -> dict[str, Any]:
    where = {"toUser": place.id} if isinstance(place, Person) else {"conversationId": place}
    return sender.ask("message.send", type=kind, mediaId=media["id"], **where, **more)  # type: ignore[no-any-return]


def test_an_upload_is_answered_with_addresses_that_an_img_can_show(ann: Person) -> None:
    media = upload(ann, encoded("PNG", 600, 400), "holiday.png")
    assert (media["kind"], media["width"], media["height"], media["mimeType"]) == ("image", 600, 400, "image/png")
    shown = download(ann, media["url"])
    assert (shown.status_code, shown.headers["Content-Type"], len(shown.content)) == (200, "image/png", media["size"])
    assert opened(shown.content).size == (600, 400)
    small = download(ann, media["thumbnailUrl"])
    assert small.headers["Content-Type"] == "image/jpeg"
    assert opened(small.content).size == (480, 320)
    for answer in (shown, small):
        keep, _, seconds = answer.headers["Cache-Control"].rpartition("=")
        assert keep == "private, immutable, max-age"
        assert 86_400 <= int(seconds) <= 2 * 86_400


def test_only_whoever_may_see_it_sees_a_bare_address(ann: Person, bob: Person, eve: Person) -> None:
    media = upload(ann, encoded())
    places = [media["url"], media["thumbnailUrl"]]
    assert [status(ann, place) for place in places] == [200, 200]
    assert [status(bob, place) for place in places] == [404, 404]
    sent(ann, bob, media)
    assert [status(bob, place) for place in places] == [200, 200]
    assert [status(eve, place) for place in places] == [404, 404]
    assert download(bob, media["url"], token=True).headers["Cache-Control"] == "private, no-cache"


def test_a_bare_address_without_a_token_asks_for_one(ann: Person) -> None:
    media = upload(ann, encoded())
    bare = media["url"].partition("?")[0]
    assert download(ann, bare).status_code == 401
    cookie = {"Cookie": f"chat_session={ann.token}"}
    assert download(ann, bare, **cookie).status_code == 200
    assert download(ann, bare, **cookie, **STRANGERS_COOKIE).status_code == 401


def test_signatures_open_their_own_path_until_they_expire(ann: Person) -> None:
    sign_with({"MEDIA_SECRET": "", "JWT_SECRET": SECRET})
    media, other = upload(ann, encoded()), upload(ann, encoded())
    path, _, query = media["url"].partition("?")
    assert download(ann, signed(path)).status_code == 200
    assert download(ann, other["url"].partition("?")[0] + "?" + query).status_code == 401
    assert download(ann, media["thumbnailUrl"].partition("?")[0] + "?" + query).status_code == 401
    assert download(ann, signed(path, time.time() - 3 * 86_400)).status_code == 401
    until, _, signature = query.partition("&")
    for wrong in (f"{until}0&{signature}", f"{until}&s=", f"{until}&{signature}x", "e=x&s=é", "e=-1&s=x", "e=²&s=x"):
        assert download(ann, f"{path}?{wrong}").status_code == 401
        assert download(ann, f"{path}?{wrong}", Authorization=f"Bearer {ann.token}").status_code == 200


@pytest.mark.parametrize(
    "place", ["images/x.jpg", "images/../../etc/passwd", "file/%2e%2e%2fx", "images/", "file/.bin"]
)
def test_other_addresses_have_nothing(ann: Person, place: str) -> None:
    assert status(ann, f"/uploads/{place}") == 404


def test_an_upload_has_one_address_and_no_other(ann: Person) -> None:
    path = upload(ann, encoded())["url"].partition("?")[0]
    next_one = f"{path[:-5]}{(int(path[-5], 16) + 1) % 16:x}.jpg"
    for other in (path.replace(".jpg", ".html"), path.replace("images", "file"), next_one):
        assert status(ann, other) == 404


def test_a_kicked_member_sees_it_no_more_and_a_new_one_not_what_was_before(ann: Person, bob: Person) -> None:
    group = ann.group(bob)
    before = upload(ann, encoded())
    sent(ann, group, before)
    assert status(bob, before["url"]) == 200
    ann.remove(group, bob)
    assert status(bob, before["url"]) == 404
    ann.add(group, bob)
    after = upload(ann, encoded())
    sent(ann, group, after)
    assert [status(bob, media["url"]) for media in (before, after)] == [404, 200]


def test_a_message_brings_its_media_to_everybody(ann: Person, bob: Person) -> None:
    media = upload(ann, encoded())
    message = sent(ann, bob, media, localId="one")
    assert (message["type"], message["content"]) == ("image", "[image]")
    assert message["media"] == media
    (kept,) = bob.history(message["conversationId"])
    assert kept["media"]["thumbnailUrl"] == media["thumbnailUrl"]
    (shown,) = bob.call("GET", "/conversations")["conversations"]
    assert shown["lastMessage"]["media"]["id"] == media["id"]
    assert sent(ann, bob, media, localId="one") == message


def test_words_go_with_an_image_and_a_file_is_called_by_its_name(ann: Person, bob: Person) -> None:
    picture, paper = upload(ann, encoded()), upload(ann, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "paper.pdf")
    assert sent(ann, bob, picture, content=" look ")["content"] == "look"
    message = sent(ann, bob, paper, "file")
    assert (message["content"], message["media"]["name"], message["media"]["kind"]) == (
        "paper.pdf",
        "paper.pdf",
        "file",
    )
    assert sent(ann, bob, paper, "file", content="read this")["content"] == "read this"
    assert sent(ann, bob, picture, "file")["content"] == "a.jpg"


def test_only_what_one_may_see_can_be_sent(ann: Person, bob: Person, eve: Person) -> None:
    media = upload(ann, encoded())
    for name in (media["id"], "0" * 32, "nonsense"):
        with pytest.raises(Refused, match="unknown_media"):
            sent(eve, bob, {"id": name}, localId="same")
    sent(ann, bob, media)
    sent(bob, eve, media)
    assert status(eve, media["url"]) == 200


@pytest.mark.parametrize(
    "data",
    [
        {"type": "image"},
        {"type": "file"},
        {"type": "image", "mediaId": ""},
        {"type": "text", "content": "x", "mediaId": "y"},
    ],
)
def test_an_image_needs_an_upload_and_a_text_takes_none(ann: Person, bob: Person, data: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="invalid"):
        ann.ask("message.send", toUser=bob.id, **data)


def test_a_file_is_no_image(ann: Person, bob: Person) -> None:
    with pytest.raises(Refused, match="invalid"):
        sent(ann, bob, upload(ann, b"hello"))


def test_a_resend_with_another_upload_is_another_message(ann: Person, bob: Person) -> None:
    sent(ann, bob, upload(ann, encoded()), localId="one")
    with pytest.raises(Refused, match="local_id_conflict"):
        sent(ann, bob, upload(ann, encoded()), localId="one")


def test_other_fields_and_other_bodies_are_refused(ann: Person) -> None:
    assert post(ann, b"x", field="file").json()["error"]["code"] == "invalid"
    head = {"Authorization": f"Bearer {ann.token}"}
    for kind, data, code in (
        ("application/json", "{}", "unsupported_media"),
        ("multipart/form-data", "--b--", "invalid"),
        ("multipart/form-data; boundary=b", "--b--\r\n", "invalid"),
    ):
        answer = requests.post(
            f"{ann.url}/api/v1/uploads", data=data, headers={**head, "Content-Type": kind}, timeout=PATIENCE
        )
        assert answer.json()["error"]["code"] == code
    assert requests.post(f"{ann.url}/api/v1/uploads", files={"media": b"x"}, timeout=PATIENCE).status_code == 401


def test_the_name_of_a_file_is_proposed_to_whoever_saves_it(ann: Person) -> None:
    media = upload(ann, b"hello", "später \u202e晚.txt")
    answer = download(ann, media["url"])
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"sp_ter _.txt\"; filename*=UTF-8''sp%C3%A4ter%20%E6%99%9A.txt"
    )
    assert (answer.headers["Content-Type"], answer.content) == ("text/plain", b"hello")


def test_a_part_of_a_file_and_a_second_look(ann: Person) -> None:
    media = upload(ann, bytes(range(256)))
    part = download(ann, media["url"], Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert download(ann, media["url"], Range="bytes=256-").status_code == 416
    again = download(ann, media["url"], **{"If-None-Match": part.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = download(ann, media["url"], method="HEAD")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "256", b"")


def test_pages_of_other_origins_may_show_it(ann: Person) -> None:
    answer = download(ann, upload(ann, encoded())["url"], Origin="http://localhost:3000")
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_client_that_leaves_in_the_middle_of_a_download_leaves_nothing_open(
    ann: Person, deployment: Deployment
) -> None:
    media = upload(ann, bytes(5_000_000))
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", deployment.web.port)) as sock:
            sock.sendall(f"GET {media['url']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(1_000).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + PATIENCE
    while open_uploads(deployment):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def open_uploads(deployment: Deployment) -> list[str]:
    found = []
    for pid in deployment.web.workers():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            if "/uploads/" in target:
                found.append(target)
    return found
