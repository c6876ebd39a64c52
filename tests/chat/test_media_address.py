"""Addresses of media: for how long they are good, and what is signed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import media_address
from chat.media_address import MEDIA, expiry, is_signed, sign_with, signed, signed_body, signed_media

SETTINGS = {"MEDIA_SECRET": "", "JWT_SECRET": "s" * 32}
NAME = "0123456789abcdef" * 2
URL, SMALL = f"/uploads/images/{NAME}.jpg", f"/uploads/images/thumbnails/{NAME}_thumb.jpg"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
DAY = 86_400


@pytest.fixture(autouse=True)
def key() -> Iterator[None]:
    before = media_address._key
    sign_with(SETTINGS)
    yield
    media_address._key = before


def parts(address: str) -> tuple[str, str, str]:
    path, _, query = address.partition("?e=")
    until, _, signature = query.partition("&s=")
    return path, until, signature


def media(**more: str) -> str:
    return orjson.dumps({"id": NAME, "kind": "image", "url": URL, **more, "size": 5}).decode()


def test_an_address_is_good_until_the_first_midnight_at_least_a_day_away() -> None:
    assert datetime.fromtimestamp(expiry(NOON), UTC) == datetime(2026, 11, 22, tzinfo=UTC)
    midnight = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(expiry(midnight), UTC) == datetime(2026, 11, 21, tzinfo=UTC)
    assert datetime.fromtimestamp(expiry(midnight + 1), UTC) == datetime(2026, 11, 22, tzinfo=UTC)


@given(st.floats(0, 4e9))
def test_it_is_good_for_a_day_to_two(now: float) -> None:
    assert DAY <= expiry(now) - now < 2 * DAY + 1e-3
    assert expiry(now) % DAY == 0


def test_it_is_the_same_for_everybody_the_whole_day() -> None:
    assert signed(URL, NOON) == signed(URL, NOON + 11 * 3_600) != signed(URL, NOON + 13 * 3_600)


def test_a_signature_opens_its_own_path_and_ends() -> None:
    path, until, signature = parts(signed(URL, NOON))
    assert path == URL
    assert is_signed(URL, until, signature, NOON)
    assert is_signed(URL, until, signature, int(until) - 1)
    assert not is_signed(URL, until, signature, int(until))
    assert not is_signed(SMALL, until, signature, NOON)
    assert not is_signed(URL, str(int(until) + DAY), signature, NOON)
    assert not is_signed(URL, until, signature[:-1], NOON)
    for nonsense in ("", "x", "-1", "1" * 5_000, "²", "١"):
        assert not is_signed(URL, nonsense, signature, NOON)
    assert not is_signed(URL, until, "é", NOON)


def test_another_secret_signs_otherwise_and_one_of_its_own_wins() -> None:
    address = signed(URL, NOON)
    sign_with({**SETTINGS, "JWT_SECRET": "t" * 32})
    assert signed(URL, NOON) != address
    sign_with({**SETTINGS, "MEDIA_SECRET": "m" * 32})
    own = signed(URL, NOON)
    sign_with({"MEDIA_SECRET": "m" * 32, "JWT_SECRET": "t" * 32})
    assert signed(URL, NOON) == own != address


def test_a_process_that_was_told_no_key_takes_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    address = signed(URL, NOON)
    for name, value in {**SETTINGS, "DATABASE_URL": "x", "REDIS_URL": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(media_address, "_key", b"")
    media_address._own_key.cache_clear()
    assert signed(URL, NOON) == address
    media_address._own_key.cache_clear()


def test_both_addresses_of_media_are_signed_and_nothing_else_changes() -> None:
    plain, whole = orjson.loads(signed_media(media())), orjson.loads(signed_media(media(thumbnailUrl=SMALL)))
    assert plain == {**orjson.loads(media()), "url": signed(URL)}
    assert whole == {**orjson.loads(media()), "url": signed(URL), "thumbnailUrl": signed(SMALL)}
    body = f'{MEDIA}{media(thumbnailUrl=SMALL)},"metadata":{{"big":12345678901234567890}}}}'
    assert orjson.loads(signed_body(body)) == {**orjson.loads(body), "media": whole}


def test_no_address_that_a_user_wrote_is_signed() -> None:
    text = orjson.dumps(media(thumbnailUrl=SMALL)).decode()
    body = f'{MEDIA}{media(name=URL)},"metadata":{{"url":"{URL}","media":{media()},"text":{text}}}}}'
    after = orjson.loads(signed_body(body))
    assert after["metadata"] == orjson.loads(body)["metadata"]
    assert after["media"]["name"] == URL
    assert signed_body(body).count("?e=") == 1


def test_what_the_server_did_not_write_stays_as_it_is() -> None:
    smuggled = f'{{"media":null,"metadata":{{"media":{media()}}}}}'
    for body in ('{"media":{"url":"/uploads/images/x.jpg"}}', '{"media":null}', smuggled):
        assert signed_body(body) == body
