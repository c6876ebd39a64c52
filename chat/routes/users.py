"""`/users` and `/presence`."""

from flask import Blueprint, Response
from marshmallow import fields

from chat.rest import describe, run_verb, sent
from chat.schemas import PersonSchema, WireSchema

__all__ = ["blueprint"]

blueprint = Blueprint("users", __name__, url_prefix="/api/v1")


class MeSchema(PersonSchema):
    """The caller, with what only they see."""

    shows_presence = fields.Boolean(required=True)
    sends_receipts = fields.Boolean(required=True)
    listed = fields.Boolean(required=True)


class UserPageSchema(WireSchema):
    """A page of users by name; no `nextCursor`: the last."""

    users = fields.List(fields.Nested(PersonSchema), required=True)
    next_cursor = fields.String(allow_none=True)


class OnePresenceSchema(WireSchema):
    """Whether a user is there. A higher `number` is the later word."""

    user_id = fields.String(required=True)
    online = fields.Boolean(required=True)
    last_seen_at = fields.String(allow_none=True)
    number = fields.Integer(required=True)


class PresenceListSchema(WireSchema):
    """The presence of those asked for who exist."""

    presence = fields.List(fields.Nested(OnePresenceSchema), required=True)


@blueprint.get("/users")
@describe("Search listed users by the start of a name.", verb="user.search", response=UserPageSchema)
def search() -> Response:
    """Search users."""
    return run_verb("user.search", sent())


@blueprint.get("/users/me")
@describe("Look oneself up.", verb="user.me", response=MeSchema)
def me() -> Response:
    """Return the caller."""
    return run_verb("user.me", sent())


@blueprint.patch("/users/me")
@describe("Change name, picture, status text or privacy.", verb="user.update", response=MeSchema)
def update() -> Response:
    """Change what the caller says of themselves."""
    return run_verb("user.update", sent())


@blueprint.get("/users/<user_id>")
@describe("Look a user up.", verb="user.get", response=PersonSchema, errors=("unknown_user",))
def get(user_id: str) -> Response:
    """Return a user."""
    return run_verb("user.get", sent(userId=user_id))


@blueprint.put("/presence/watch")
@describe(
    "Have the session that the header `Chat-Session` names told when these users come and go.",
    verb="presence.watch",
    response=PresenceListSchema,
)
def watch() -> Response:
    """Watch users, for clients that receive by poll or stream."""
    return run_verb("presence.watch", sent())


@blueprint.get("/presence")
@describe("Ask who is online (`ids`, at most 200, comma between).", verb="presence.get", response=PresenceListSchema)
def presence() -> Response:
    """Return the presence of users."""
    return run_verb("presence.get", sent())
