"""The page at `/` and its files under `/web/`: static, the same for everybody, nothing in them is secret.

Browsers keep the files but ask each time whether they are still right (304 by ETag): so a new version is there at the
next reload, and modules of two versions never run together. The policy lets nothing in that is not this server's, but
for pictures from the storage of its uploads.
"""

from pathlib import Path

from flask import Blueprint, Response, current_app, send_from_directory

from chat.storage_address import storage_origin

__all__ = ["HEADERS", "blueprint", "policy"]

FILES = Path(__file__).resolve().parent.parent / "web"

# 'self' in connect-src covers the WebSocket of the same origin. data: and blob: are pictures made on the page itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

blueprint = Blueprint("web", __name__)


@blueprint.get("/")
def page() -> Response:
    """Answer with the page itself."""
    return send_from_directory(FILES, "index.html", conditional=True)


@blueprint.get("/web/<path:name>")
def file(name: str) -> Response:
    """Answer with one of the page's files; nothing outside its folder can be named."""
    return send_from_directory(FILES, name, conditional=True)


@blueprint.after_request
def protect(response: Response) -> Response:
    """Put the headers on every answer of this blueprint, errors included."""
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = policy(storage_origin(current_app.config))
    return response


def policy(storage: str) -> str:
    """Return the policy of a server whose pictures browsers load from another origin; empty: from this one."""
    return POLICY.replace("img-src 'self'", f"img-src 'self' {storage}") if storage else POLICY
