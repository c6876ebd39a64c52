"""The public keys of a host application: one from the settings, and those of a key set (JWKS) that is fetched and kept.

Fetched at first need, again after ten minutes or when a token names an unknown key, but never more often than every
30 seconds: a flood of made-up key names must not become a flood of requests. While the host is away the old keys hold.
"""

import logging
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any
from urllib.request import Request, urlopen

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from chat.config import ConfigError

__all__ = ["KeySet", "PublicKey"]

KEPT = 600  # seconds; a host that changes its keys publishes the new one long before it signs with it
PAUSE = 30  # seconds between two fetches at least
TIMEOUT = 5  # seconds; a request of a user waits for it
BYTES = 1_048_576  # of a key set: a thousand keys
KEYS = 100  # of a set that are looked at
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key, and the algorithms that may be tried with it: those of its kind."""

    key: Any
    algorithms: tuple[str, ...]


class KeySet:
    """The keys by name. `pem`: a public key that needs no name; `url`: of a JWKS. Both may be empty."""

    def __init__(self, pem: str, url: str):
        self._fixed = [_from_pem(pem)] if pem else []
        self._url = url
        self._set: list[tuple[str | None, PublicKey]] = []
        self._fetched = self._tried = float("-inf")
        self._fetching = Lock()

    def named(self, kid: object) -> list[PublicKey]:
        """Return the keys that a token which names `kid` may be signed with (no name: every key)."""
        name = kid if isinstance(kid, str) else None
        known = {name for name, _ in self._set}
        if self._url and (monotonic() - self._fetched > KEPT or (name is not None and name not in known)):
            self._refresh()
        return self._fixed + [key for of, key in self._set if name is None or of in (name, None)]

    def _refresh(self) -> None:
        with self._fetching:
            if monotonic() - self._tried < PAUSE:
                return
            self._tried = monotonic()
            try:
                self._set = _keys(_fetched(self._url))
                self._fetched = monotonic()
            except (OSError, ValueError, jwt.PyJWTError) as error:
                log.warning("The key set at %s could not be read: %s", self._url, error)


def _from_pem(pem: str) -> PublicKey:
    try:
        return _of(load_pem_public_key(pem.replace("\\n", "\n").encode()))
    except (ValueError, KeyError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"JWT_PUBLIC_KEY must be a public key in PEM: {error}") from error


def _fetched(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError("JWT_JWKS_URL must be http or https")
    with urlopen(Request(url, headers={"Accept": "application/json"}), timeout=TIMEOUT) as answer:  # noqa: S310 - checked
        raw: bytes = answer.read(BYTES + 1)
    if len(raw) > BYTES:
        raise ValueError("the key set is too large")
    return raw


def _keys(raw: bytes) -> list[tuple[str | None, PublicKey]]:
    """Return names and signing keys of a JWKS; what is of no use (encryption keys, secrets, new kinds) is left out."""
    keys: list[tuple[str | None, PublicKey]] = []
    value = orjson.loads(raw)
    for entry in value["keys"][:KEYS] if isinstance(value, dict) and isinstance(value.get("keys"), list) else []:
        try:
            if isinstance(entry, dict) and entry.get("use", "sig") == "sig" and entry.get("kty") != "oct":
                keys.append((entry.get("kid"), _of(jwt.PyJWK(entry).key)))
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            log.info("A key of the set was left out: %s", error)
    return keys


def _of(key: Any) -> PublicKey:
    if isinstance(key, RSAPublicKey):
        return PublicKey(key, RSA)
    if isinstance(key, EllipticCurvePublicKey):
        return PublicKey(key, (CURVES[key.curve.name],))
    if isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        return PublicKey(key, ("EdDSA",))
    raise ValueError("only RSA, EC and Ed25519 or Ed448 keys are taken")
