"""Refresh tokens: their look. Which one is current stands in the login's row; these functions are pure.

A token names its login and its number in the login's line, and is sealed: an old one is recognised as having been ours,
and nobody can end a login by making one up. What opens anything is the random part, of which the database has a digest
only: neither a stolen database nor a stolen key is enough.
"""

import hmac
from hashlib import sha256
from secrets import token_bytes
from typing import NamedTuple

from chat.errors import ChatError

__all__ = ["RefreshToken", "digest_of", "make", "read"]

CHARACTERS = 256  # three numbers of 20 digits and two times 64 hexadecimal ones are less
PARTS = 4
LARGEST = 2**63 - 1


class RefreshToken(NamedTuple):
    """What a genuine refresh token says: the login, and which of its line it is, from 0."""

    login_id: int
    number: int


def make(secret: str, login_id: int, number: int, asked_with: str = "") -> str:
    """Return the refresh token with this number.

    `asked_with` (the token before and the client's own key of the request) makes a repeated request get the same one;
    without it the random part is new each time.
    """
    seed = _sealed(secret, "next", asked_with) if asked_with else token_bytes(32).hex()
    text = f"{login_id}.{number}.{seed}"
    return f"{text}.{_sealed(secret, 'refresh', text)}"


def read(secret: str, text: str) -> RefreshToken:
    """Return what a token says. Raises ChatError bad_token if it was never one of ours."""
    parts = text.split(".") if len(text) <= CHARACTERS and text.isascii() else []
    sealed = ".".join(parts[:-1])
    if len(parts) != PARTS or not hmac.compare_digest(parts[-1], _sealed(secret, "refresh", sealed)):
        raise ChatError("bad_token")
    return RefreshToken(int(parts[0]), int(parts[1]))


def digest_of(text: str) -> bytes:
    """Return what the database keeps of a token."""
    return sha256(text.encode()).digest()


def _sealed(secret: str, purpose: str, text: str) -> str:
    return hmac.new(secret.encode(), f"chat {purpose} {text}".encode(), sha256).hexdigest()
