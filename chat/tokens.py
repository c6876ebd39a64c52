"""JWTs: ours, made and read, and a host application's, read. Knows keys and claims, not the database.

The algorithm is never taken on the token's word: HS256 goes with JWT_SECRET and nothing else, and a public key is tried
only with the algorithms of its own kind. So a public key can never be used as an HS256 secret, and `none` is nothing.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from time import time
from typing import Any

import jwt

from chat.errors import ChatError
from chat.ids import valid_user_id
from chat.keyset import KeySet, PublicKey

__all__ = ["Claims", "Tokens"]

ISSUER = "chat"
OURS = "lid"  # the claim that only our own tokens have: the login's number
SECRET_ALGORITHM = "HS256"  # noqa: S105 - no secret
TOKEN_CHARACTERS = 8_192  # the longest header line that common proxies let through
KNOWN = 20_000  # tokens that were verified lately; about 12 MB
KNOWN_SECONDS = 300.0  # half of what a host's keys are kept
LONGEST = timedelta(days=3_650)  # a host's token without an end in sight still has one for us
UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, KeyError, RecursionError)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. `login_id` is 0 in a host application's token, which has `external_key` instead."""

    user: str
    login_id: int
    expires_at: datetime
    external_key: str = ""
    name: str = ""
    avatar: str | None = None


class Tokens:
    """Makes and reads access tokens by the settings."""

    def __init__(self, config: Mapping[str, Any]):
        self._config = config
        self._secret: str = config["JWT_SECRET"]
        self._keys = KeySet(config["JWT_PUBLIC_KEY"], config["JWT_JWKS_URL"])
        self._known: OrderedDict[str, tuple[Claims, float]] = OrderedDict()

    def make(self, public_id: str, login_id: int, life: timedelta) -> str:
        """Return a token of ours for this login."""
        now = datetime.now(UTC)
        claims = {"iss": ISSUER, "sub": public_id, OURS: login_id, "jti": token_hex(12), "iat": now, "exp": now + life}
        return jwt.encode(claims, self._secret, algorithm=SECRET_ALGORITHM)

    def read(self, token: str) -> Claims:
        """Return the claims of a token whose signature and times hold. Raises ChatError bad_token for all others.

        A token that was found good is not verified again for some minutes: whoever comes back brings the same.
        """
        known = self._known.get(token)
        if known is not None and known[1] > time():
            return known[0]
        claims = self._read(token)
        if len(self._known) >= KNOWN:
            self._known.popitem(last=False)
        self._known[token] = (claims, min(time() + KNOWN_SECONDS, claims.expires_at.timestamp()))
        return claims

    def _read(self, token: str) -> Claims:
        if len(token) > TOKEN_CHARACTERS or not token.isascii():
            raise ChatError("bad_token")
        try:
            return self._claims(token, self._verified(token))
        except UNREADABLE as error:
            raise ChatError("bad_token") from error

    def _verified(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        for key in self._candidates(header):
            try:
                return self._decoded(token, key)
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError

    def _candidates(self, header: dict[str, Any]) -> list[PublicKey]:
        if header.get("alg") == SECRET_ALGORITHM:
            return [PublicKey(self._secret, (SECRET_ALGORITHM,))]
        return [key for key in self._keys.named(header.get("kid")) if header.get("alg") in key.algorithms]

    def _decoded(self, token: str, key: PublicKey) -> dict[str, Any]:
        # `sub` and `jti` may be numbers in a host's token, and its issuer and audience are looked at only by setting.
        options: Any = {"verify_sub": False, "verify_jti": False, "verify_aud": False, "verify_iss": False}
        leeway = self._config["JWT_LEEWAY"]
        return jwt.decode(token, key.key, algorithms=list(key.algorithms), options=options, leeway=leeway)

    def _claims(self, token: str, claims: dict[str, Any]) -> Claims:
        if claims.get("iss") == ISSUER and type(claims.get(OURS)) is int:
            return Claims(str(claims["sub"]), claims[OURS], datetime.fromtimestamp(claims["exp"], UTC))
        self._check_host(claims)
        user = self._user(claims)
        avatar = claims.get("avatar")
        return Claims(
            user,
            0,
            self._end(claims),
            external_key=_external_key(user, claims.get("jti"), token),
            name=str(claims.get("name") or ""),
            avatar=avatar if isinstance(avatar, str) else None,
        )

    def _check_host(self, claims: dict[str, Any]) -> None:
        issuer, audience = self._config["JWT_ISSUER"], self._config["JWT_AUDIENCE"]
        if issuer and claims.get("iss") != issuer:
            raise jwt.InvalidIssuerError
        meant_for = claims.get("aud")
        if audience and audience not in (meant_for if isinstance(meant_for, list) else [meant_for]):
            raise jwt.InvalidAudienceError

    def _user(self, claims: dict[str, Any]) -> str:
        wanted = self._config["JWT_USER_CLAIM"]
        for name in (wanted,) if wanted else ("sub", "userId", "id"):
            value = claims.get(name)
            if type(value) in (str, int) and valid_user_id(str(value)):
                return str(value)
        raise jwt.MissingRequiredClaimError(wanted or "sub")

    def _end(self, claims: dict[str, Any]) -> datetime:
        latest = datetime.now(UTC) + LONGEST
        if "exp" in claims:
            return datetime.fromtimestamp(min(float(claims["exp"]), latest.timestamp()), UTC)
        end = datetime.fromtimestamp(float(claims["iat"]), UTC) + timedelta(days=self._config["TOKEN_DAYS"])
        if end <= datetime.now(UTC):
            raise jwt.ExpiredSignatureError
        return end


def _external_key(user: str, jti: object, token: str) -> str:
    """Name a host's token. The user is part of it: two users' tokens with one `jti` must not be one login."""
    if type(jti) in (str, int) and jti != "":
        return "jti:" + sha256(f"{user}\0{jti}".encode()).hexdigest()
    return "token:" + sha256(token.encode()).hexdigest()
