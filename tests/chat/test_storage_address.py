"""STORAGE_URL: taken apart, refused with a sentence, and silent about its secret."""

import re
from typing import Any

import pytest

from chat.config import ConfigError, load
from chat.storage_address import StorageAddress, storage_address, storage_origin
from tests.deployment import ROOT

NEEDED = {
    "DATABASE_URL": "postgresql+psycopg://db/x", "REDIS_URL": "redis://r", "JWT_SECRET": "s" * 32, "DATA_DIR": "/data",
}  # fmt: skip
SECRET = "Tr0ub4dor"


def settings(url: str, **more: str) -> dict[str, Any]:
    return load(environ=NEEDED | {"STORAGE_URL": url} | more)


def bucket(url: str, **more: str) -> StorageAddress:
    found = storage_address(settings(url, **more))
    assert found is not None
    return found


def test_everything_in_it_has_its_place() -> None:
    found = bucket("s3://KEY:sec%2Fret@127.0.0.1:9000/chat/up/loads/?region=eu-west-1&tls=off&style=virtual")
    assert (found.endpoint, found.public, found.origin) == (
        "http://127.0.0.1:9000", "http://127.0.0.1:9000", "http://chat.127.0.0.1:9000",
    )  # fmt: skip
    assert (found.bucket, found.prefix, found.region, found.virtual) == ("chat", "up/loads/", "eu-west-1", True)
    assert (found.key_id, found.secret) == ("KEY", "sec/ret")


def test_what_it_does_not_say_is_usual() -> None:
    found = bucket("s3://KEY:secret@[::1]/chat")
    assert (found.endpoint, found.prefix, found.region, found.virtual) == ("https://[::1]", "", "us-east-1", False)
    assert found.origin == "https://[::1]"


def test_without_it_there_is_none() -> None:
    assert storage_address(settings("")) is None
    assert storage_origin(settings("")) == ""


def test_the_key_can_stand_beside_it() -> None:
    found = bucket("s3://s3.example/chat", AWS_ACCESS_KEY_ID="KEY", AWS_SECRET_ACCESS_KEY=SECRET)
    assert (found.key_id, found.secret) == ("KEY", SECRET)


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("", "https://s3.example"),
        ("https://media.example.org/", "https://media.example.org"),
        ("http://m.example:8080", "http://m.example:8080"),
        ("none", ""),
    ],
)
def test_browsers_may_know_it_by_another_name_or_not_at_all(public: str, origin: str) -> None:
    assert storage_origin(settings(f"s3://KEY:{SECRET}@s3.example/chat", STORAGE_PUBLIC_URL=public)) == origin


@pytest.mark.parametrize(
    "url",
    [
        f"s3://KEY:{SECRET}@s3.example",
        f"s3://KEY:{SECRET}@s3.example/",
        f"s3://KEY:{SECRET}@/chat",
        f"s3://KEY:{SECRET}@s3.example/a b",
        f"s3://KEY:{SECRET}@s3.example/chat/../x y",
        f"https://KEY:{SECRET}@s3.example/chat",
        f"s3://KEY:{SECRET}@s3.example:port/chat",
        f"s3://KEY:{SECRET}@s3.example:0/chat",
        f"s3://KEY:{SECRET}@s3.example/chat?tls=maybe",
        f"s3://KEY:{SECRET}@s3.example/chat?region=",
        f"s3://KEY:{SECRET}@s3.example/chat?secure=on",
        f"s3://KEY:{SECRET}@s3.example/chat#x",
        f"s3://KEY:x/{SECRET}@s3.example/chat",
        f"s3://KEY:{SECRET}/x@s3.example/chat",
        f"s3://KEY:x?{SECRET}@s3.example/chat",
        f"s3://KEY:x#{SECRET}@s3.example/chat",
        f"s3://KEY:[{SECRET}@s3.example/chat",
        f"s3://{SECRET}@s3.example/chat",
        "s3://s3.example/chat",
        f"s3:{SECRET}",
        SECRET,
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start_and_no_secret_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="STORAGE_URL") as refused:
        settings(url)
    assert SECRET.lower() not in str(refused.value).lower()
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "public", ["media.example", "https://", "ftp://m.example", "https://m.example/x", "https://a:b@c"]
)
def test_a_name_for_browsers_is_an_origin(public: str) -> None:
    with pytest.raises(ConfigError, match="STORAGE_PUBLIC_URL"):
        settings(f"s3://KEY:{SECRET}@s3.example/chat", STORAGE_PUBLIC_URL=public)


def test_what_is_not_finished_needs_a_place() -> None:
    with pytest.raises(ConfigError, match="DATA_DIR"):
        settings(f"s3://KEY:{SECRET}@s3.example/chat", DATA_DIR="")


def test_its_picture_has_no_secret() -> None:
    found = bucket(f"s3://KEYID:{SECRET}@s3.example/chat")
    assert SECRET not in f"{found!r}{found}"
    assert "KEYID" not in repr(found)


def test_the_example_of_the_documents_makes_sense() -> None:
    (example,) = re.findall(r"^STORAGE_URL=(\S+)$", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    found = bucket(example)
    assert (found.endpoint, found.region) == ("https://s3.eu-central-1.amazonaws.com", "eu-central-1")
