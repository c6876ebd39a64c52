"""What every answer says besides its body: whose pages may read it, that it is not to be kept, nor guessed at.

Also where a request comes from: with TRUSTED_PROXIES the headers of that many proxies are believed.
"""

from typing import cast

from flask import Blueprint, Flask, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.middleware.proxy_fix import ProxyFix

from chat import origins
from chat.errors import ChatError

__all__ = ["blueprint"]

blueprint = Blueprint("origins", __name__)
API = "/api/"


@blueprint.record_once
def _prepare(state: BlueprintSetupState) -> None:
    app = cast("Flask", state.app)
    app.extensions["chat.origins"] = origins.patterns_of(app.config)
    proxies = app.config["TRUSTED_PROXIES"]
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]


@blueprint.before_app_request
def preflight() -> Response | None:
    """Answer a browser that asks whether a page may call, and refuse addresses that nothing here can have."""
    if "\0" in request.path or "%00" in request.query_string.decode("latin-1"):
        raise ChatError("invalid", "The address holds a character that nothing here has.")
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204, headers=origins.preflight_headers())
    return None


@blueprint.after_app_request
def finish(response: Response) -> Response:
    """Add what every answer says."""
    patterns = current_app.extensions["chat.origins"]
    for name, value in origins.cors_headers(request.headers.get("Origin"), request.headers.get("Host"), patterns):
        response.headers.add(name, value)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.path.startswith(API):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
