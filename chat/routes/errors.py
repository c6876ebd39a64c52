"""Whatever goes wrong in a request, the answer has one shape: {"error": {code, message, details?, retryAfter?}}."""

import logging
import math
import traceback
from typing import Any

import orjson
from flask import Blueprint, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from chat.errors import CODES, ChatError
from chat.rest import node
from chat.schemas import refusal
from chat.text import line_of

__all__ = ["blueprint", "error_response"]

blueprint = Blueprint("errors", __name__)
log = logging.getLogger(__name__)
PATH_CHARACTERS = 200  # of a foreign path in a line of the log
TRACE_CHARACTERS = 500  # of a line of a traceback: a statement may stand in it
TRACE_LINES = 200
CODE_OF_STATUS = {
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "invalid",
    413: "too_large",
    415: "unsupported_media",
    429: "rate_limited",
    503: "unavailable",
}


def error_response(error: ChatError, status: int | None = None) -> Response:
    """Return the answer to a refused request, with Retry-After in whole seconds where waiting helps."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.code.status == 413:
        headers["Connection"] = "close"  # the rest of the body is not read
    node().metrics.errors[error.code.name] += 1
    body = orjson.dumps({"error": error.as_data()})
    return Response(body, status or error.code.status, headers, mimetype="application/json")


@blueprint.app_errorhandler(ChatError)
def refused(error: ChatError) -> Response:
    """Answer a command that was refused."""
    return error_response(error)


@blueprint.app_errorhandler(ValidationError)
def not_valid(error: ValidationError) -> Response:
    """Answer data that its schema refused."""
    return error_response(refusal(error))


@blueprint.app_errorhandler(HTTPException)
def http_error(error: HTTPException) -> Any:
    """Answer what Flask itself refuses; a redirect is none of our business."""
    status = error.code or 500
    if status < 400:
        return error
    code = CODE_OF_STATUS.get(status) or ("invalid" if status < 500 else "internal")
    response = error_response(ChatError(code, CODES[code].message), status)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers.setdefault(name, value)
    return response


@blueprint.app_errorhandler(Exception)
def unexpected(error: Exception) -> Response:
    """Log what nobody foresaw, once, and say no more of it than that."""
    where = f"{request.method} {line_of(request.path, PATH_CHARACTERS)}"
    log.error("Unforeseen in %s\n%s", where, _trace(error))
    return error_response(ChatError("internal"))


def _trace(error: Exception) -> str:
    """Return the traceback, marked at each line: text of a user in it cannot pose as a line of the log."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(f"  | {line_of(line, TRACE_CHARACTERS)}" for line in lines[-TRACE_LINES:])
