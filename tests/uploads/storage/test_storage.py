"""What every storage does, over each of them."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.bucket import Bucket
from uploads.storage import Storage, key_of, storage_of, thumbnail_key_of

CONTENT = bytes(range(256)) * 2_048


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    found = storage_of(settings(request, tmp_path))
    assert found is not None
    return found


def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, Any]:
    url = ""
    if request.param != "folder":
        bucket: Bucket = request.getfixturevalue("bucket")
        url = bucket.url if request.param == "s3" else bucket.url.replace("?", f"/of/{tmp_path.name}?")
    given = {"STORAGE_PUBLIC_URL": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    return given | {"STORAGE_URL": url, "DATA_DIR": str(tmp_path)}


def put(storage: Storage, key: str = "", data: bytes = CONTENT) -> str:
    key = key or key_of("image", secrets.token_hex(16), ".jpg")
    source = storage.incoming.path / secrets.token_hex(8)
    source.write_bytes(data)
    storage.put(source, key)
    assert not source.exists()
    return key


def test_what_was_put_is_read_by_place(storage: Storage) -> None:
    opened = storage.open(put(storage))
    assert opened is not None
    assert opened.size == len(CONTENT)
    parts = [(0, 10), (5, 300_000), (262_140, 10), (300_000, 7), (len(CONTENT) - 3, 100)]
    for offset, length in parts:
        found = b""
        while len(found) < min(length, len(CONTENT) - offset):
            found += opened.read(offset + len(found), length - len(found))
        assert found == CONTENT[offset : offset + length]
    opened.close()


def test_a_fetched_file_can_be_read_where_it_is_asked_for(storage: Storage) -> None:
    with storage.fetched(put(storage)) as path:
        assert path is not None
        assert path.read_bytes() == CONTENT
    assert list(storage.incoming.path.iterdir()) == []


def test_what_is_not_there_is_none_and_deleting_it_is_no_fault(storage: Storage) -> None:
    key = key_of("file", secrets.token_hex(16), ".bin")
    assert storage.open(key) is None
    with storage.fetched(key) as path:
        assert path is None
    storage.delete(key)
    put(storage, key)
    storage.delete(key)
    assert storage.open(key) is None


def test_files_are_listed_by_shard_and_age(storage: Storage) -> None:
    name, other = "ab" + secrets.token_hex(15), "cd" + secrets.token_hex(15)
    mine = {put(storage, key_of("image", name, ".png")), put(storage, thumbnail_key_of(name))}
    elsewhere = put(storage, key_of("file", other, ".bin"))
    assert mine <= set(storage.keys("ab", -10))
    assert elsewhere not in storage.keys("ab", -10)
    assert elsewhere in storage.keys("cd", -10)
    assert list(storage.keys("ab", 3_600)) == []
    for key in (*mine, elsewhere):
        storage.delete(key)


def test_it_is_there(storage: Storage) -> None:
    assert storage.is_there()


@pytest.mark.parametrize("url", ["", "s3://key:secret@127.0.0.1:1/bucket"])
def test_without_a_data_directory_there_is_no_storage(url: str) -> None:
    assert storage_of({"DATA_DIR": "", "STORAGE_URL": url}) is None
