"""What every REST route shares: who calls, what they sent, running a verb, answering.

A route is a view with `describe`, which is all that OpenAPI and the guard need to know of it:

    blueprint = Blueprint("groups", __name__, url_prefix="/api/v1")

    @blueprint.post("/groups")
    @describe("Create a group.", verb="group.create", response=GroupSchema, status=201)
    def create() -> Response:
        return run_verb("group.create", sent())

    @blueprint.delete("/groups/<group_id>/members/<user_id>")
    @describe("Remove a member.", verb="group.remove", errors=("forbidden", "last_owner"))
    def remove(group_id: str, user_id: str) -> Response:
        return run_verb("group.remove", sent(groupId=group_id, userIds=[user_id]))

Without `public=True` nobody gets in without a token: the guard stands in `describe`, so a route cannot forget it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast

import orjson
from flask import Response, current_app, g, request
from marshmallow import Schema
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from chat.errors import ChatError
from chat.frames import Caller, Command
from chat.messages import Sent
from chat.transaction import Transaction, run_in_transaction

__all__ = [
    "SESSION",
    "Operation",
    "answer",
    "caller",
    "describe",
    "idempotency_key",
    "in_transaction",
    "loaded",
    "node",
    "operation_of",
    "run_verb",
    "sent",
]

T = TypeVar("T")
V = TypeVar("V", bound=Callable[..., Any])
SESSION = "Chat-Session"  # header: the session that gets the answer, and not the event too; a poll's answer says whose
SESSION_CHARACTERS = 64
KEY_CHARACTERS = 64  # an Idempotency-Key is a UUID or the like
BODYLESS = {"GET", "HEAD", "DELETE"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What OpenAPI says of a route. `request` is the schema of the body (of the query with GET and DELETE).

    `without` names fields of it (on the wire) that the path says, under another name than its own.
    """

    summary: str
    verb: str
    request: type[Schema] | None
    response: type[Schema] | None
    status: int
    errors: tuple[str, ...]
    public: bool
    without: frozenset[str]


def describe(
    summary: str,
    *,
    verb: str = "",
    request: type[Schema] | None = None,
    response: type[Schema] | None = None,
    status: int = 200,
    errors: tuple[str, ...] = (),
    public: bool = False,
    without: tuple[str, ...] = (),
) -> Callable[[V], V]:
    """Declare a route, and let in only who has a valid token (all, if `public`).

    `verb` names the command behind it, whose schema is then the request's; `response` is the schema of the answer's
    data, for the documents only; `status` that of success; `errors` the codes beyond those of every route; `without`
    fields of the request that the path says under another name.
    """
    operation = Operation(summary, verb, request, response, status, errors, public, frozenset(without))

    def mark(view: V) -> V:
        @wraps(view)
        def guarded(*args: Any, **values: Any) -> Any:
            if not public:
                caller()
            return view(*args, **values)

        guarded.operation = operation  # type: ignore[attr-defined]
        return cast("V", guarded)

    return mark


def operation_of(endpoint: str | None) -> Operation | None:
    """Return what `describe` said of the view of an endpoint; None where nothing was said."""
    return getattr(current_app.view_functions.get(endpoint or ""), "operation", None)


def node() -> Any:
    """Return this process's node."""
    return current_app.extensions["chat.node"]


def caller() -> Caller:
    """Return who sends the current request. Raises ChatError not_authenticated or bad_token."""
    if "caller" not in g:
        auth = node().auth
        found = auth.authenticate(auth.token_of(request.headers, request.cookies, request.args))
        g.caller = replace(found, session_id=request.headers.get(SESSION, "")[:SESSION_CHARACTERS])
    return cast("Caller", g.caller)


def sent(**path: Any) -> dict[str, Any]:
    """Return the data as a verb takes it: the query (GET, DELETE) or the JSON body, and over it what the path says."""
    data = dict(request.args.items()) if request.method in BODYLESS else _body()
    return {**data, **path}


def loaded(schema: type[Schema], **path: Any) -> dict[str, Any]:
    """Return `sent(**path)` checked by a schema. Raises marshmallow's ValidationError, answered as `invalid`."""
    return cast("dict[str, Any]", schema().load(sent(**path)))


def run_verb(op: str, data: dict[str, Any], status: int | None = None) -> Response:
    """Run a verb for the caller and answer with its reply, with the described status. A known `localId` answers 200."""
    reply = node().execute(caller(), Command(op, None, data, idempotency_key()))
    if isinstance(reply, Sent):
        return answer(reply.data, 200 if reply.known else 201)
    return answer(reply, status)


def in_transaction(work: Callable[[Transaction], T]) -> T:
    """Return what `work` returns, in a unit of work of its own: for what is no verb."""
    return run_in_transaction(node().engine, node(), work)


def answer(data: Any, status: int | None = None) -> Response:
    """Return JSON (bytes are taken as encoded), by default with the described status; None has no body."""
    if status is None:
        operation = operation_of(request.endpoint)
        status = operation.status if operation else 200
    if data is None:
        return Response(status=204)
    return Response(data if isinstance(data, bytes) else orjson.dumps(data), status, mimetype="application/json")


def _body() -> dict[str, Any]:
    raw = _raw_body()
    if not raw:
        return {}
    if not request.is_json:
        raise ChatError("unsupported_media", "The body must be JSON (Content-Type: application/json).")
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ChatError("invalid", f"The body is no JSON: {error}") from error
    if type(data) is not dict:
        raise ChatError("invalid", "The body is no JSON object.")
    return data


def _raw_body() -> bytes:
    most = current_app.config["FRAME_BYTES"]
    request.max_content_length = most + 1  # of a body without a length just so much is read, and nothing is said of it
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge as error:
        raise ChatError("too_large") from error
    except ClientDisconnected as error:
        raise ChatError("invalid", "The body ended early.") from error
    if len(raw) > most:
        raise ChatError("too_large")
    return raw


def idempotency_key() -> str:
    """Return the request's Idempotency-Key, empty where there is none. Raises ChatError invalid."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > KEY_CHARACTERS or not (key.isascii() and (key.isprintable())):
        raise ChatError("invalid", f"An Idempotency-Key has 1 to {KEY_CHARACTERS} printable ASCII characters.")
    return key
