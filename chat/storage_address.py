"""Where the S3 bucket of uploads is, as STORAGE_URL says it. Pure; its secret shows in no text made from it.

s3://KEY:SECRET@HOST[:PORT]/BUCKET[/PREFIX][?region=REGION&tls=on|off&style=path|virtual]
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

__all__ = ["StorageAddress", "storage_address", "storage_origin"]

OPTIONS = {"region": "us-east-1", "tls": "on", "style": "path"}
FLAGS = {"on": True, "off": False, "path": False, "virtual": True}
NOBODY = "none"  # of STORAGE_PUBLIC_URL: browsers do not reach the storage
HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]+")
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
PREFIX = re.compile(r"([A-Za-z0-9._-]+/)*")
REGION = re.compile(r"[a-z0-9-]+")
FORM = "STORAGE_URL must be like s3://KEY:SECRET@HOST:PORT/BUCKET?region=us-east-1&tls=on"


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """A bucket. `endpoint` is the service's origin, `public` the one that browsers use (empty: they do not reach it).

    `prefix` is put before every key, empty or ending with a slash; `virtual`: the bucket's name is part of the host.
    """

    endpoint: str
    public: str
    bucket: str
    prefix: str
    region: str
    virtual: bool
    key_id: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def origin(self) -> str:
        """The origin from which browsers load files; empty where they do not."""
        if not self.public or not self.virtual:
            return self.public
        scheme, _, host = self.public.partition("://")
        return f"{scheme}://{self.bucket}.{host}"


def storage_address(settings: Mapping[str, Any]) -> StorageAddress | None:
    """Return the bucket that the settings name, None without one. Raises ValueError that says what to mend, no secret.

    Nothing of what was given stands in the error: where a secret has a slash in it, any part may be the secret.
    """
    if not settings["STORAGE_URL"]:
        return None
    parts = _split(settings["STORAGE_URL"], FORM)
    options = _options(parts.query)
    if parts.scheme != "s3" or parts.fragment or "@" in parts.path:
        raise ValueError(f"{FORM}; in KEY and SECRET write / as %2F, + as %2B, ? as %3F, # as %23.")
    bucket, _, prefix = parts.path.strip("/").partition("/")
    prefix += "/" if prefix else ""
    if not (BUCKET.fullmatch(bucket) and PREFIX.fullmatch(prefix)):
        raise ValueError(f"{FORM}; its bucket, or the prefix behind it, is no name.")
    if not settings["DATA_DIR"]:
        raise ValueError("STORAGE_URL needs DATA_DIR, too: what is not finished yet lies there, for each host alone.")
    key_id, secret = _credentials(parts, settings)
    endpoint = f"{'https' if FLAGS[options['tls']] else 'http'}://{_host(parts)}"
    public = _public(settings["STORAGE_PUBLIC_URL"], endpoint)
    return StorageAddress(
        endpoint, public, bucket, prefix, options["region"], FLAGS[options["style"]], key_id, secret
    )  # fmt: skip


def storage_origin(settings: Mapping[str, Any]) -> str:
    """Return the origin from which browsers load what was uploaded; empty: from this server."""
    address = storage_address(settings)
    return address.origin if address else ""


def _split(url: str, form: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        found = bool(parts.hostname and HOST.fullmatch(parts.hostname) and parts.port != 0)
    except ValueError:  # its text has what stands at the port's place
        found = False
    if not found:
        raise ValueError(f"{form}; it has no host, or a port that is none.")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    return f"{named}:{parts.port}" if parts.port else named


def _options(query: str) -> dict[str, str]:
    options = OPTIONS | dict(parse_qsl(query, keep_blank_values=True))
    if (
        options.keys() != OPTIONS.keys()
        or not REGION.fullmatch(options["region"])
        or options["tls"] not in ("on", "off")
        or options["style"] not in ("path", "virtual")
    ):
        raise ValueError("STORAGE_URL takes region=NAME, tls=on or off, style=path or virtual, and nothing else.")
    return options


def _credentials(parts: SplitResult, settings: Mapping[str, Any]) -> tuple[str, str]:
    if parts.username is None:
        key_id, secret = settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
    else:
        key_id, secret = unquote(parts.username), unquote(parts.password or "")
    if not (key_id and secret):
        raise ValueError("STORAGE_URL needs KEY:SECRET@, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY beside it.")
    return key_id, secret


def _public(given: str, endpoint: str) -> str:
    if not given:
        return endpoint
    if given == NOBODY:
        return ""
    form = "STORAGE_PUBLIC_URL must be an origin like https://media.example.org, or `none`"
    parts = _split(given, form)
    if parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query or parts.username is not None:
        raise ValueError(f"{form}; without path, query or name.")
    return f"{parts.scheme}://{_host(parts)}"
