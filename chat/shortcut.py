"""A shortcut: a GET that is answered in WSGI, before Flask's dispatch, which costs more than a short answer.

Only plain requests go this way, with a bearer token that is believed at the moment, that the function asked takes.
All else (another token, no token, a preflight) goes on to Flask's route of the same address, which answers it as it
answers others. A refusal is Flask's to answer, too, but without asking its route: what is refused because too much is
asked must not be asked twice. So there is one rule for who is let in and what a refusal looks like, and it does not
stand here.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from flask import Flask

from chat import origins
from chat.errors import ChatError
from chat.frames import Caller

__all__ = ["HEADERS", "Answer", "add_shortcut"]

OK = f"{HTTPStatus.OK.value} {HTTPStatus.OK.phrase}"
HEADERS = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
Application = Callable[..., Iterable[bytes]]


class Answer(NamedTuple):
    """A body, encoded JSON, and headers besides those of every answer."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def add_shortcut(
    app: Flask, path: str, answer: Callable[[Any, Caller, dict[str, Any]], Answer | None], *, query: bool = False
) -> None:
    """Have `answer(node, caller, environ)` asked before Flask for GETs of this path; None leaves the request to Flask.

    A ChatError is the answer. `query`: also for those with a query.
    """
    otherwise = cast("Application", app.wsgi_app)
    patterns = origins.patterns_of(app.config)
    proxies = app.config["TRUSTED_PROXIES"]

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (
            environ["PATH_INFO"] != path
            or environ["REQUEST_METHOD"] != "GET"
            or (environ["QUERY_STRING"] and not query)
        ):
            return otherwise(environ, start_response)
        origin = environ.get("HTTP_ORIGIN")
        node = app.extensions["chat.node"]
        caller = node.auth.believed(environ.get("HTTP_AUTHORIZATION", ""))
        if caller is None or (origin and proxies):  # which host a proxy was asked for is not known here yet
            return otherwise(environ, start_response)
        try:
            found = answer(node, caller, environ)
        except ChatError as error:
            return _refused(app, error, environ, start_response)
        if found is None:
            return otherwise(environ, start_response)
        cross = origins.cors_headers(origin, environ.get("HTTP_HOST"), patterns)
        start_response(OK, [*HEADERS, ("Content-Length", str(len(found.body))), *found.headers, *cross])
        return [found.body]

    app.wsgi_app = application  # type: ignore[method-assign]


def _refused(
    app: Flask, error: ChatError, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Answer as Flask does when a view raises this."""
    with app.request_context(environ):
        response = app.finalize_request(app.handle_user_exception(error))
    return response(environ, start_response)
