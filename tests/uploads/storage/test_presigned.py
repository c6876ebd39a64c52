"""Addresses of a bucket: as AWS documents them, as botocore makes them, and good at a server."""

import datetime
import re
import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from chat.storage_address import StorageAddress, storage_address
from uploads.storage.presigned import presigned

MOMENT = 1_369_353_600  # 2013-05-24T00:00:00Z, the moment of AWS's example
SHOWN = {
    "Content-Type": "image/png",
    "Content-Disposition": "attachment; filename=\"a b.pdf\"; filename*=UTF-8''sp%C3%A4t.pdf",
    "Cache-Control": "private, immutable, max-age=7200",
}


def address(url: str, **settings: str) -> StorageAddress:
    given = {"STORAGE_PUBLIC_URL": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "DATA_DIR": "/data"}
    found = storage_address(given | {"STORAGE_URL": url} | settings)
    assert found is not None
    return found


def test_the_example_of_the_documentation_has_its_signature() -> None:
    secret = "wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY"
    bucket = address(f"s3://AKIAIOSFODNN7EXAMPLE:{secret}@s3.amazonaws.com/examplebucket?style=virtual")
    assert presigned(bucket, "test.txt", {}, MOMENT, 86_400) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("s3://key:s%2Fe%2Bcret@127.0.0.1:9000/bucket/a/b?tls=off&region=eu-1", ""),
        ("s3://key:s%2Fe%2Bcret@s3.example/bucket?style=virtual", ""),
        ("s3://key:s%2Fe%2Bcret@10.0.0.1:9000/bucket?tls=off", "https://media.example.org"),
    ],
)
@pytest.mark.parametrize("headers", [{}, SHOWN])
def test_botocore_signs_the_same_address_in_the_same_way(
    url: str, public: str, headers: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = address(url, STORAGE_PUBLIC_URL=public)
    made = presigned(bucket, "images/ab.png", headers, MOMENT, 3_600)
    bare, _, query = made.partition("?")
    overrides = {name: values[0] for name, values in parse_qs(query).items() if name.startswith("response-")}
    request = AWSRequest("GET", bare, params=overrides)
    moment = datetime.datetime.fromtimestamp(MOMENT, datetime.UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: moment)
    signer = auth.S3SigV4QueryAuth(Credentials("key", "s/e+cret"), "s3", bucket.region, expires=3_600)
    signer.add_auth(request)
    theirs = parse_qs(urlsplit(request.url).query)
    assert parse_qs(query) == theirs


def test_the_secret_is_not_in_it() -> None:
    bucket = address("s3://key:very-secret@s3.example/bucket")
    assert "secret" not in presigned(bucket, "a", {}, int(time.time()), 60)
    assert re.search("X-Amz-Signature=[0-9a-f]{64}$", presigned(bucket, "a", {}, MOMENT, 60))
