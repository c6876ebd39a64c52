"""The quick way of `GET /api/v1/unread`: answered in WSGI, before Flask's dispatch, which costs more than the answer.

Only what goes well goes this way: a bearer token that is believed at the moment, and a count that can be had. All else
(another token, no token, a preflight, a refusal) goes on to Flask's route of the same address, which answers it as it
answers others. So there is one rule for who is let in and what a refusal looks like, and it does not stand here.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, cast

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState

from chat import origins
from chat.errors import ChatError

__all__ = ["blueprint"]

blueprint = Blueprint("quick", __name__)
PATH = "/api/v1/unread"
OK = f"{HTTPStatus.OK.value} {HTTPStatus.OK.phrase}"
HEADERS = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
Answer = Callable[..., Any]


@blueprint.record_once
def _prepare(state: BlueprintSetupState) -> None:
    app = cast("Flask", state.app)
    app.wsgi_app = _before(app, app.wsgi_app)  # type: ignore[method-assign]


def _before(app: Flask, otherwise: Answer) -> Answer:
    patterns = origins.patterns_of(app.config)
    proxies = app.config["TRUSTED_PROXIES"]

    def answer(environ: dict[str, Any], start_response: Answer) -> Iterable[bytes]:
        found = _counted(app, environ) if environ["PATH_INFO"] == PATH else None
        origin = environ.get("HTTP_ORIGIN")
        if found is None or (origin and proxies):  # who stands behind a proxy is not known here yet
            return cast("Iterable[bytes]", otherwise(environ, start_response))
        cross = origins.cors_headers(origin, environ.get("HTTP_HOST"), patterns)
        start_response(OK, [*HEADERS, ("Content-Length", str(len(found))), *cross])
        return [found]

    return answer


def _counted(app: Flask, environ: dict[str, Any]) -> bytes | None:
    """Return the answer; None where the request is not a plain one of somebody known, or is to be refused."""
    if environ["REQUEST_METHOD"] != "GET" or environ["QUERY_STRING"]:
        return None
    node = app.extensions["chat.node"]
    caller = node.auth.believed(environ.get("HTTP_AUTHORIZATION", ""))
    if caller is None:
        return None
    try:
        answer: bytes = node.tallies.answer(caller.user_id)
    except ChatError:
        return None
    return answer
