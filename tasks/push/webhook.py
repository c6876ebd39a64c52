"""Push by webhook: a signed POST to an address of the operator's, who brings it to phones as they see fit.

`X-Chat-Signature: t=<seconds since 1970>,v1=<hex>`, an HMAC-SHA256 of `<t>.<body>` under PUSH_WEBHOOK_SECRET: look at
`t`, too, so that nobody sends an old one again. A note may come twice, with the same `id`.
"""

import hmac
import json
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from tasks.push import Later, Note

__all__ = ["is_on", "send", "signature"]

SECONDS = 5.0  # for an answer: a process of the pool waits
REFUSALS = {400, 401, 403, 404, 405, 410, 413, 415, 422}  # the same again would be refused again


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: what was allowed is this address."""

    def redirect_request(self, *_: Any) -> None:
        """Take the redirection for an answer."""


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Straight)


def is_on(settings: Mapping[str, Any]) -> bool:
    """Tell whether there is an address."""
    return bool(settings["PUSH_WEBHOOK_URL"])


def send(settings: Mapping[str, Any], note: Note) -> None:
    """Post a note. Raises Later when the other side does not take it, ValueError when it never will."""
    body = json.dumps(note, ensure_ascii=False).encode()
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Chat-Signature": f"t={now},v1={signature(settings['PUSH_WEBHOOK_SECRET'], now, body)}",
    }
    request = urllib.request.Request(settings["PUSH_WEBHOOK_URL"], body, headers)  # noqa: S310 (looked at at the start)
    try:
        _opener.open(request, timeout=SECONDS).close()
    except HTTPError as error:
        error.close()
        if error.code in REFUSALS:
            raise ValueError(f"the webhook refuses notes: {error.code}") from None
        raise Later(f"the webhook answers {error.code}") from None
    except (OSError, HTTPException) as error:
        raise Later(f"the webhook does not answer: {error}") from None


def signature(secret: str, now: int, body: bytes) -> str:
    """Return the signature of a body sent at a time (seconds since 1970)."""
    return hmac.new(secret.encode(), b"%d.%b" % (now, body), "sha256").hexdigest()
