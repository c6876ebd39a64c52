"""Files in an S3 bucket: `[prefix/]area/abcd….jpg`, of AWS or of any server that speaks its protocol.

Every call ends by itself: within some seconds while the storage is away, and a file's in a time by its size. After a
call that found nobody there the next ones fail at once for a moment, so that a storage that is away does not hold the
threads of everybody who asks.
"""

import io
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from chat.storage_address import StorageAddress
from uploads.storage import AwayError
from uploads.storage.incoming import Incoming
from uploads.storage.keys import AREAS
from uploads.storage.presigned import presigned

__all__ = ["S3"]

CONNECT_SECONDS = 3.0  # a storage is near; one that does not take a connection in that time is away
ANSWER_SECONDS = 10.0  # without a byte
FILE_SECONDS = 30.0  # for any file, and for a large one besides what it takes at
BYTES_A_SECOND = 250_000  # 10 MB then have 70 seconds, and hold one of eight threads for no longer
TRIES = 2  # of a call, in all
PAUSE_SECONDS = 2.0  # without a call after one that found nobody
PART_BYTES = 262_144  # of an open file that are held: with the opening the whole of every thumbnail comes
PIECE = 65_536  # bytes at a time of a file that is copied
PAGE = 1_000  # keys of one answer, the most that S3 gives
WINDOW = 3_600  # seconds for which everybody gets the same address of a file, so that browsers keep what they have
LATENESS = 60  # seconds before an address ends from which on nobody is sent there any more
logging.getLogger("botocore").setLevel(logging.WARNING)  # whatever LOG_LEVEL says: below, it tells of signatures
# What is stored says of itself that it can only be saved; our addresses say otherwise of images.
STORED_AS = {"ContentType": "application/octet-stream", "ContentDisposition": "attachment"}


class S3:
    """A storage in a bucket; see Storage. What is not finished lies in the folder `root` of this host."""

    def __init__(self, address: StorageAddress, root: Path):
        self.incoming = Incoming(root)
        self._address = address
        self._client = _client(address)
        self._away_until = 0.0

    def put(self, source: Path, key: str) -> None:
        """Take a file over; see Storage."""
        with _Bounded(source) as body:
            self._asked("put_object", Key=self._name(key), Body=body, **STORED_AS)
        source.unlink()

    def open(self, key: str) -> "_Object | None":
        """Open a file, and have its beginning; see Storage."""
        found = self._part(key, 0, PART_BYTES)
        if found is None:
            return None
        data, size = found
        return _Object(size, data, lambda offset, length: self._piece(key, offset, length))

    @contextmanager
    def fetched(self, key: str) -> Iterator[Path | None]:
        """Give a copy that is deleted afterwards; see Storage."""
        answer = self._asked("get_object", Key=self._name(key))
        if answer is None:
            yield None
            return
        path = self.incoming.path / f"{secrets.token_hex(16)}.copy"
        try:
            with path.open("xb") as file, _plainly("get_object"):
                _copy(answer["Body"], file, answer["ContentLength"])
            yield path
        finally:
            path.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Delete a file; see Storage."""
        self._asked("delete_object", Key=self._name(key))

    def keys(self, shard: str, older_than: float) -> Iterator[str]:
        """Return old files of a shard, a page at a time; see Storage."""
        before = time.time() - older_than
        for area in AREAS:
            for entry in self._entries(self._name(f"{area}/{shard}")):
                if entry["LastModified"].timestamp() < before:
                    yield entry["Key"].removeprefix(self._address.prefix)

    def is_there(self) -> bool:
        """Tell whether the bucket answers; see Storage."""
        try:
            return self._asked("head_bucket") is not None
        except AwayError:
            return False

    def address(self, key: str, headers: Mapping[str, str], seconds: float) -> tuple[str, int] | None:
        """Return a presigned address, the same for everybody for an hour, good for one to two; see Storage."""
        if not self._address.public:
            return None
        now = time.time()
        moment = int(now // WINDOW) * WINDOW
        life = min(2 * WINDOW, math.ceil(now + seconds) - moment)
        left = int(moment + life - now) - LATENESS
        if left <= 0:
            return None
        headers = {**headers, "Cache-Control": f"private, immutable, max-age={life}"}
        return presigned(self._address, key, headers, moment, life), left

    def _name(self, key: str) -> str:
        return f"{self._address.prefix}{key}"

    def _entries(self, prefix: str) -> Iterator[Any]:
        after: dict[str, str] = {}
        while True:
            page = self._asked("list_objects_v2", Prefix=prefix, MaxKeys=PAGE, **after) or {}
            yield from page.get("Contents", ())
            if not page.get("NextContinuationToken"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _piece(self, key: str, offset: int, length: int) -> bytes:
        found = self._part(key, offset, length)
        return b"" if found is None else found[0]

    def _part(self, key: str, offset: int, length: int) -> tuple[bytes, int] | None:
        """Return a part of a file, and the whole file's size; None if there is no such file."""
        answer = self._asked("get_object", Key=self._name(key), Range=f"bytes={offset}-{offset + length - 1}")
        if answer is None:
            return None
        with _plainly("get_object"):
            data: bytes = answer["Body"].read()
        size = answer.get("ContentRange", "").rpartition("/")[2]
        return data, int(size) if size.isdigit() else offset + len(data)

    def _asked(self, operation: str, **arguments: Any) -> dict[str, Any] | None:
        """Return what the bucket answers, None if there is no such key. Raises AwayError."""
        if time.monotonic() < self._away_until:
            raise AwayError("S3 did not answer a moment ago")
        try:
            with _plainly(operation):
                answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._address.bucket, **arguments)
        except _NoSuchKeyError:
            return None
        except _NobodyThereError:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            raise
        return answer


class _NoSuchKeyError(Exception):
    pass


class _NobodyThereError(AwayError):
    pass


@contextmanager
def _plainly(operation: str) -> Iterator[None]:
    """Say what was the matter in a sentence, without what botocore knows besides."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchKey":
            raise _NoSuchKeyError from None
        raise AwayError(f"S3 refuses {operation}: {code}") from None
    except BotoCoreError as error:
        raise _NobodyThereError(f"S3 does not answer {operation}: {type(error).__name__}") from None


class _Object:
    """A stored file of which one part is there, first the beginning: who reads on in small pieces asks seldom."""

    def __init__(self, size: int, first: bytes, piece: Callable[[int, int], bytes]):
        self.size = size
        self._part, self._begin, self._piece = first, 0, piece

    def read(self, offset: int, length: int) -> bytes:
        if not self._begin <= offset < self._begin + len(self._part):
            self._part, self._begin = self._piece(offset, max(length, PART_BYTES)), offset
        begin = offset - self._begin
        return self._part[begin : begin + length]

    def close(self) -> None:
        self._part = b""


class _Bounded(io.FileIO):
    """A file that can be read only for so long, however often a try begins anew."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._until = _until(path.stat().st_size)

    def read(self, size: int | None = -1, /) -> bytes:
        _check(self._until)
        return super().read(-1 if size is None else size) or b""


def _copy(body: Any, file: io.BufferedWriter, size: int) -> None:
    until, copied = _until(size), 0
    while piece := body.read(PIECE):
        _check(until)
        copied += file.write(piece)
    if copied != size:
        raise _NobodyThereError("S3 gave a part of a file")


def _until(size: int) -> float:
    return time.monotonic() + FILE_SECONDS + size / BYTES_A_SECOND


def _check(until: float) -> None:
    if time.monotonic() > until:
        raise AwayError("S3 is too slow for a file")


def _client(address: StorageAddress) -> Any:
    session = Session()
    client = session.create_client(
        "s3",
        region_name=address.region,
        endpoint_url=address.endpoint,
        aws_access_key_id=address.key_id,
        aws_secret_access_key=address.secret,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if address.virtual else "path"},
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Newer checksums than the signature's own are of AWS alone: other servers stumble over them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    client.meta.events.register("before-send.s3", _sender(address.endpoint, session))
    return client


def _sender(endpoint: str, session: Session) -> Callable[..., Any]:
    """Return what sends requests over connections of each thread's own: a socket of gevent's knows one thread only."""
    verify = session.get_config_variable("ca_bundle") or True
    own = threading.local()

    def send(request: Any, **_: Any) -> Any:
        if not hasattr(own, "session"):
            own.session = URLLib3Session(
                verify=verify, proxies=get_environ_proxies(endpoint), timeout=(CONNECT_SECONDS, ANSWER_SECONDS)
            )
        return own.session.send(request)

    return send
