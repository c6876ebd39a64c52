"""`/auth`: registering, logging in and out, tokens, tickets, and the logins (devices) of a user."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, request
from marshmallow import fields

from chat import persons
from chat.errors import ChatError
from chat.rest import answer, caller, describe, idempotency_key, in_transaction, loaded, node
from chat.schemas import DoneSchema, Name, Password, PersonSchema, Text, WireSchema
from chat.services import accounts, logins, users
from chat.text import line_of, search_key
from chat.transaction import Transaction

__all__ = ["blueprint"]

blueprint = Blueprint("auth", __name__, url_prefix="/api/v1/auth")
DEVICE_CHARACTERS = 100
LARGEST = 2**63 - 1


class LoginSchema(WireSchema):
    """Name and password; `deviceName` is shown in the list of logins."""

    username = Name(64, required=True)
    password = Text(200, 1, required=True)
    device_name = Name(DEVICE_CHARACTERS)


class RegisterSchema(LoginSchema):
    """A new user; `displayName` is what others read, by default the user name."""

    password = Password(required=True)
    display_name = Name(64)


class RefreshSchema(WireSchema):
    """A refresh token, which works once."""

    refresh_token = Text(1_024, 1, required=True)


class TokenSchema(WireSchema):
    """A name for the list of logins."""

    name = Name(DEVICE_CHARACTERS)


class OpenedSchema(WireSchema):
    """A login: `accessToken` lives for `expiresIn` seconds, `refreshToken` until it is used."""

    user = fields.Nested(PersonSchema, required=True)
    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    expires_in = fields.Integer(required=True)


class LongTokenSchema(WireSchema):
    """A token without refresh, and the login by which it can be ended."""

    access_token = fields.String(required=True)
    expires_in = fields.Integer(required=True)
    login_id = fields.String(required=True)


class TicketSchema(WireSchema):
    """A WebSocket ticket: works once, within `expiresIn` seconds."""

    ticket = fields.String(required=True)
    expires_in = fields.Integer(required=True)


class OneLoginSchema(WireSchema):
    """A login. `kind`: device, token (without refresh) or host (a host application's token)."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    created_at = fields.String(required=True)
    used_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    current = fields.Boolean(required=True)


class LoginListSchema(WireSchema):
    """The logins of a user, the last used first."""

    logins = fields.List(fields.Nested(OneLoginSchema), required=True)


@blueprint.post("/register")
@describe(
    "Register and log in.",
    request=RegisterSchema,
    response=OpenedSchema,
    status=201,
    errors=("name_taken", "forbidden", "rate_limited", "overloaded"),
    public=True,
)
def register() -> Response:
    """Make a user and open a login."""
    data = loaded(RegisterSchema)
    if not current_app.config["REGISTRATION"]:
        raise ChatError("forbidden", "Nobody can register here.")
    _slow_down("register", data["username"])
    password_hash = node().auth.passwords.hash(data["password"])

    def work(tx: Transaction) -> logins.Opened:
        account = accounts.register(tx, data["username"], password_hash, data.get("display_name") or data["username"])
        return logins.open_login(tx, account, logins.DEVICE, _device(data))

    return _opened(in_transaction(work))


@blueprint.post("/login")
@describe(
    "Log in.",
    request=LoginSchema,
    response=OpenedSchema,
    errors=("bad_credentials", "rate_limited", "overloaded"),
    public=True,
)
def log_in() -> Response:
    """Open a login for who knows the password."""
    data = loaded(LoginSchema)
    _slow_down("login", data["username"])
    passwords = node().auth.passwords
    found = in_transaction(lambda tx: accounts.credentials(tx, data["username"]))
    right = passwords.match(found.password_hash if found else None, data["password"])
    if found is None or not right:
        raise ChatError("bad_credentials")
    account = accounts.Account(found.user_id, found.public_id)
    fresh = passwords.renewed(found.password_hash, data["password"])

    def work(tx: Transaction) -> logins.Opened:
        if fresh:
            accounts.keep_hash(tx, account.user_id, fresh)
        return logins.open_login(tx, account, logins.DEVICE, _device(data))

    return _opened(in_transaction(work))


@blueprint.post("/refresh")
@describe(
    "Change a refresh token for a new pair. One that was used before ends the login, but for a repeated request with "
    "the same Idempotency-Key, which is answered again.",
    request=RefreshSchema,
    response=OpenedSchema,
    errors=("bad_token",),
    public=True,
)
def refresh() -> Response:
    """Rotate a refresh token."""
    token, key = loaded(RefreshSchema)["refresh_token"], idempotency_key()
    outcome = in_transaction(lambda tx: logins.refresh(tx, token, key))
    if isinstance(outcome, logins.Reused):
        _ended(outcome.login_id)
        raise ChatError("bad_token", "This refresh token was used before. Its login is ended.")
    return _opened(outcome)


@blueprint.post("/logout")
@describe("End the login of the token that is sent, and its connections.", response=DoneSchema)
def log_out() -> Response:
    """End the caller's login."""
    me = caller()
    in_transaction(lambda tx: logins.end_login(tx, me.user_id, me.login_id))
    _ended(me.login_id)
    return answer({"success": True})


@blueprint.post("/token")
@describe(
    "Make a token without refresh (TOKEN_DAYS), a login of its own.",
    request=TokenSchema,
    response=LongTokenSchema,
    status=201,
    errors=("forbidden",),
)
def make_token() -> Response:
    """Open a login for a frontend that knows no refresh."""
    me, name = caller(), loaded(TokenSchema).get("name", "")
    opened = in_transaction(lambda tx: logins.open_token(tx, me, name))
    life = timedelta(days=current_app.config["TOKEN_DAYS"])
    token = node().auth.tokens.make(opened.public_id, opened.login_id, life)
    return answer({"accessToken": token, "expiresIn": int(life.total_seconds()), "loginId": str(opened.login_id)})


@blueprint.post("/ticket")
@describe("Make a ticket that opens one WebSocket (`/ws?ticket=`), once.", response=TicketSchema, status=201)
def make_ticket() -> Response:
    """Make a ticket."""
    login_id = caller().login_id
    ticket = in_transaction(lambda tx: logins.make_ticket(tx, login_id))
    return answer({"ticket": ticket, "expiresIn": current_app.config["TICKET_SECONDS"]})


@blueprint.get("/logins")
@describe("List one's logins (devices).", response=LoginListSchema)
def list_logins() -> Response:
    """List the caller's logins."""
    me = caller()
    return answer({"logins": in_transaction(lambda tx: logins.listed(tx, me))})


@blueprint.delete(f"/logins/<int(max={LARGEST}):login_id>")
@describe("End one of one's logins, and its connections.", response=DoneSchema, errors=("not_found",))
def end_login(login_id: int) -> Response:
    """End a login of the caller."""
    me = caller()
    if not in_transaction(lambda tx: logins.end_login(tx, me.user_id, login_id)):
        raise ChatError("not_found", "There is no such login.")
    _ended(login_id)
    return answer({"success": True})


def _opened(opened: logins.Opened) -> Response:
    row = in_transaction(lambda tx: users.the_user(tx, opened.public_id))
    life = timedelta(minutes=current_app.config["ACCESS_MINUTES"])
    return answer(
        {
            "user": persons.own(node(), row),
            "accessToken": node().auth.tokens.make(opened.public_id, opened.login_id, life),
            "refreshToken": opened.refresh_token,
            "expiresIn": int(life.total_seconds()),
        }
    )


def _ended(login_id: int) -> None:
    node().auth.forget(login_id)
    node().end_login(login_id)


def _slow_down(what: str, username: str) -> None:
    node().auth.throttle.check(what, search_key(username, accounts.KEY_CHARACTERS), request.remote_addr)


def _device(data: dict[str, Any]) -> str:
    name: str = data.get("device_name") or line_of(request.headers.get("User-Agent", ""), DEVICE_CHARACTERS)
    return name
