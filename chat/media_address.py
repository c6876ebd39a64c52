"""Addresses of media: signed, so that an `<img>`, which sends no header, can show them. Pure.

A signature is an HMAC over path and expiry, the same for every recipient, so that one frame serves all and caches work.
Entries keep their media without signatures: whoever encodes an entry has it signed anew here.
"""

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from chat import config

__all__ = ["MEDIA", "expiry", "is_signed", "sign_with", "signed", "signed_body", "signed_media"]

DAY = 86_400  # seconds; the same address for a whole day, so that caches work
BYTES = 16  # of a signature: nobody guesses 128 bits
MEDIA = '{"media":'  # a body with media begins with it
# How the server writes the JSON of media: its addresses stand first, so nothing that a user wrote is ever signed.
ADDRESSES = re.compile(r'(\{"id":"[0-9a-f]{32}","kind":"[a-z]+","url":")([^"]*)("(?:,"thumbnailUrl":")?)([^"]*)')

_key: bytes = b""


def sign_with(settings: Mapping[str, Any]) -> None:
    """Let this process sign by its settings: MEDIA_SECRET, or what is derived from JWT_SECRET."""
    global _key
    _key = _derived(settings["MEDIA_SECRET"] or settings["JWT_SECRET"])


def signed(path: str, now: float | None = None) -> str:
    """Return a path of this server as an address that opens it for everybody, for 24 to 48 hours."""
    until = expiry(time.time() if now is None else now)
    return f"{path}?e={until}&s={_signature(path, until)}"


def signed_media(data: str) -> str:
    """Return the encoded JSON object of media with its addresses signed."""
    return ADDRESSES.sub(_sign_found, data, count=1)


def signed_body(body_text: str) -> str:
    """Return an entry's body, which begins with MEDIA, with the addresses of its media signed."""
    found = ADDRESSES.match(body_text, len(MEDIA))
    if found is None:
        return body_text
    return f"{MEDIA}{_sign_found(found)}{body_text[found.end() :]}"


def is_signed(path: str, until: str, signature: str, now: float) -> bool:
    """Tell whether this signature opens the path, and still does."""
    if not (until.isascii() and until.isdigit() and len(until) < 12 and signature.isascii()):
        return False
    return hmac.compare_digest(signature, _signature(path, int(until))) and int(until) > now


def expiry(now: float) -> int:
    """Return the first midnight (UTC) that is at least a day away, in seconds since the epoch."""
    return -int(-(now + DAY) // DAY) * DAY


def _sign_found(found: re.Match[str]) -> str:
    head, url, between, thumbnail = found.groups()
    if not between.endswith(':"'):
        return f"{head}{signed(url)}{between}{thumbnail}"
    return f"{head}{signed(url)}{between}{signed(thumbnail)}"


def _signature(path: str, until: int) -> str:
    digest = hmac.digest(_key or _own_key(), f"{until}\n{path}".encode(), sha256)
    return urlsafe_b64encode(digest[:BYTES]).rstrip(b"=").decode()


@cache
def _own_key() -> bytes:
    """Return the key of a process that nobody told one, such as a script: that of the settings in its environment."""
    settings = config.load()
    return _derived(settings["MEDIA_SECRET"] or settings["JWT_SECRET"])


def _derived(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"addresses of media", sha256)
