"""The documents that are made from the code: `/openapi.json`, `/asyncapi.json`, and `/docs`, both as a page to read."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from markupsafe import Markup, escape

from chat.asyncapi import asyncapi
from chat.errors import CODES
from chat.openapi import openapi
from chat.rest import answer

__all__ = ["blueprint"]

blueprint = Blueprint("reference", __name__, template_folder="templates")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
code { font: 0.9em ui-monospace, monospace; background: #8881; border-radius: 3px; padding: 0 0.2em }
h2 { border-bottom: 1px solid #8884; margin-top: 2.5rem } h3 { margin: 1.5rem 0 0 }
p { margin: 0.2rem 0 } table { border-collapse: collapse } td, th { padding: 0.1rem 0.8rem 0.1rem 0; text-align: left }
td, th { vertical-align: top } details { margin: 0.2rem 0 }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } a { color: #8bf } }
"""
CODE = re.compile(r"`([^`]+)`")
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.app_template_filter("prose")
def prose(text: str) -> Markup:
    """Return a sentence as HTML, what stands in backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


@blueprint.get("/openapi.json")
def openapi_document() -> Response:
    """Answer the OpenAPI document."""
    return answer(_kept("openapi"), 200)


@blueprint.get("/asyncapi.json")
def asyncapi_document() -> Response:
    """Answer the AsyncAPI document."""
    return answer(_kept("asyncapi"), 200)


@blueprint.get("/docs")
def page() -> Response:
    """Answer the reference as a page without anything from elsewhere."""
    html = render_template(
        "reference.html", rest=_kept("openapi"), live=_kept("asyncapi"), codes=CODES.values(), style=STYLE
    )
    return Response(html, headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"})


def _kept(name: str) -> dict[str, Any]:
    """Return a document, made at the first request for it: routes and verbs do not change while a process runs."""
    documents: dict[str, dict[str, Any]] = current_app.extensions.setdefault("chat.documents", {})
    if name not in documents:
        documents[name] = openapi(current_app._get_current_object()) if name == "openapi" else asyncapi()  # type: ignore[attr-defined]
    return documents[name]
