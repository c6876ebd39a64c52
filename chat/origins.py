"""Whose pages may call: CORS_ORIGINS, the same at every door. Pure.

A pattern is `scheme://host[:port]`. `*` stands for any scheme, for any part of a host name, for any port; a host may be
a network (`http://10.0.0.0/8:*`); a missing port is the scheme's own. `null` is the origin of pages from files.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

__all__ = ["allowed", "cors_headers", "named", "patterns_of", "preflight_headers"]

DEVELOPMENT = tuple(
    f"*://{host}:*" for host in ("localhost", "127.0.0.1", "[::1]", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
PORTS = {"http": "80", "https": "443"}
PATTERN = re.compile(r"(?P<scheme>\*|[a-z][a-z0-9+.-]*)://(?P<host>\[[^\]]*\]|[^:]+)(?::(?P<port>\*|\d+))?")
METHODS = "GET, POST, PUT, PATCH, DELETE"
TUS = "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Upload-Defer-Length, Upload-Concat"
TAKEN = f"Authorization, Content-Type, Chat-Session, Idempotency-Key, If-None-Match, Last-Event-ID, Range, {TUS}"
EXPOSED = (
    f"Chat-Session, ETag, Link, Location, Retry-After, Content-Range, Tus-Version, Tus-Extension, Tus-Max-Size, {TUS}"
)
MAX_AGE = "600"  # seconds that a browser keeps a preflight's answer


def patterns_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns of the settings: in development also those of localhost and of private networks."""
    given: tuple[str, ...] = tuple(config["CORS_ORIGINS"])
    return given + DEVELOPMENT if config["ENVIRONMENT"] == "development" else given


def allowed(origin: str | None, host: str | None, patterns: Sequence[str]) -> bool:
    """Tell whether a page of `origin` may call the server that it knows as `host` (the Host header).

    No Origin passes (no browser, or a page's own GET), and so does the own origin.
    """
    return _own(origin, host) or any(_fits(origin or "", pattern) for pattern in patterns)


def named(origin: str | None, host: str | None, patterns: Sequence[str]) -> bool:
    """Tell whether a cookie of this origin's page may be believed: its own, or one named without a wildcard."""
    return _own(origin, host) or any(_fits(origin or "", pattern) for pattern in patterns if _is_plain(pattern))


def cors_headers(origin: str | None, host: str | None, patterns: Sequence[str]) -> list[tuple[str, str]]:
    """Return the headers that let a page of another origin read the answer; never `*`, for credentials are sent."""
    vary = [("Vary", "Origin")]
    if not origin or not allowed(origin, host, patterns):
        return vary
    allow = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
    return [*vary, *allow, ("Access-Control-Expose-Headers", EXPOSED)]


def preflight_headers() -> list[tuple[str, str]]:
    """Return what the answer to a preflight says besides `cors_headers`."""
    taken = [("Access-Control-Allow-Methods", METHODS), ("Access-Control-Allow-Headers", TAKEN)]
    return [*taken, ("Access-Control-Max-Age", MAX_AGE)]


def _own(origin: str | None, host: str | None) -> bool:
    # The scheme is not compared: a proxy that ends TLS in front of us does not always tell of it.
    return not origin or (bool(host) and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower()))


def _is_plain(pattern: str) -> bool:
    return "*" not in pattern and pattern.count("/") == 2


@lru_cache(maxsize=4_096)  # pairs; a page's origin comes with each of its requests
def _fits(origin: str, pattern: str) -> bool:
    if origin == pattern:
        return True
    wanted = PATTERN.fullmatch(pattern.lower())
    try:
        parts = urlsplit(origin.lower())
        port = str(parts.port or PORTS.get(parts.scheme, ""))
    except ValueError:
        return False
    if wanted is None or not parts.hostname or f"{parts.scheme}://{parts.netloc}" != origin.lower() or parts.username:
        return False
    return (
        wanted["scheme"] in ("*", parts.scheme)
        and wanted["port"] in ("*", port, None if port == PORTS.get(parts.scheme) else "")
        and _host_fits(parts.hostname, wanted["host"].strip("[]"))
    )


def _host_fits(host: str, wanted: str) -> bool:
    if "/" in wanted:
        try:
            return ip_address(host) in ip_network(wanted)
        except ValueError:
            return False
    parts = (re.escape(part) for part in wanted.split("*"))
    return re.fullmatch("[a-z0-9.-]+".join(parts), host) is not None
