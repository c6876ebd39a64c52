"""`/groups`: making, finding, changing and ending them; members and roles."""

from flask import Blueprint, Response

from chat.answers import ConversationViewSchema, GroupListSchema, MemberListSchema
from chat.rest import describe, run_verb, sent
from chat.schemas import DoneSchema

__all__ = ["blueprint"]

blueprint = Blueprint("groups", __name__, url_prefix="/api/v1/groups")
OUTSIDER = ("not_a_member",)
SUBORDINATE = ("not_a_member", "forbidden", "unknown_user")


@blueprint.get("")
@describe("List the groups that everybody may find.", verb="group.list", response=GroupListSchema)
def list_() -> Response:
    """Answer a page of listed groups."""
    return run_verb("group.list", sent())


@blueprint.post("")
@describe("Make a group.", verb="group.create", response=ConversationViewSchema, status=201, errors=("group_full",))
def create() -> Response:
    """Make a group of the caller's."""
    return run_verb("group.create", sent())


@blueprint.get("/<group_id>")
@describe("Get a group.", verb="group.get", response=ConversationViewSchema, errors=OUTSIDER)
def get(group_id: str) -> Response:
    """Answer a group as a member sees it, or what outsiders may see."""
    return run_verb("group.get", sent(groupId=group_id))


@blueprint.patch("/<group_id>")
@describe(
    "Change name, picture or rules, as an admin or the owner.",
    verb="group.update", response=ConversationViewSchema, errors=("not_a_member", "forbidden"),
)  # fmt: skip
def update(group_id: str) -> Response:
    """Change a group."""
    return run_verb("group.update", sent(groupId=group_id))


@blueprint.delete("/<group_id>")
@describe("End a group, as its owner.", verb="group.delete", response=DoneSchema, errors=("not_a_member", "forbidden"))
def delete(group_id: str) -> Response:
    """Let everybody leave, and delete the group."""
    return run_verb("group.delete", sent(groupId=group_id))


@blueprint.post("/<group_id>/join")
@describe(
    "Join an open group.",
    verb="group.join", response=ConversationViewSchema, errors=("not_a_member", "join_not_allowed", "group_full"),
)  # fmt: skip
def join(group_id: str) -> Response:
    """Let the caller in."""
    return run_verb("group.join", sent(groupId=group_id))


@blueprint.post("/<group_id>/leave")
@describe("Leave a group.", verb="group.leave", response=DoneSchema, errors=("not_a_member", "last_owner"))
def leave(group_id: str) -> Response:
    """Take the caller out."""
    return run_verb("group.leave", sent(groupId=group_id))


@blueprint.post("/<group_id>/transfer")
@describe(
    "Hand a group over, as its owner.", verb="group.transfer", response=ConversationViewSchema, errors=SUBORDINATE
)
def transfer(group_id: str) -> Response:
    """Make another member the owner."""
    return run_verb("group.transfer", sent(groupId=group_id))


@blueprint.get("/<group_id>/members")
@describe("List the members.", verb="conversation.members", response=MemberListSchema, errors=OUTSIDER)
def members(group_id: str) -> Response:
    """Answer a page of members."""
    return run_verb("conversation.members", sent(conversationId=group_id))


@blueprint.post("/<group_id>/members")
@describe(
    "Add users, as an admin or the owner.",
    verb="group.add", response=ConversationViewSchema, errors=("not_a_member", "forbidden", "group_full"),
)  # fmt: skip
def add(group_id: str) -> Response:
    """Let users in."""
    return run_verb("group.add", sent(groupId=group_id))


@blueprint.delete("/<group_id>/members/<user_id>")
@describe("Remove a member of a lower role.", verb="group.remove", response=DoneSchema, errors=SUBORDINATE)
def remove(group_id: str, user_id: str) -> Response:
    """Take a member out."""
    return run_verb("group.remove", sent(groupId=group_id, userId=user_id))


@blueprint.put("/<group_id>/members/<user_id>/role")
@describe(
    "Make a member an admin or an admin a member, as the owner.",
    verb="group.role", response=ConversationViewSchema, errors=(*SUBORDINATE, "last_owner"),
)  # fmt: skip
def role(group_id: str, user_id: str) -> Response:
    """Give a member another role."""
    return run_verb("group.role", sent(groupId=group_id, userId=user_id))


@blueprint.put("/<group_id>/members/<user_id>/mute")
@describe(
    "Forbid a member of a lower role to write, until then.",
    verb="group.mute", response=DoneSchema, errors=SUBORDINATE,
)  # fmt: skip
def mute(group_id: str, user_id: str) -> Response:
    """Mute a member, or let them write again."""
    return run_verb("group.mute", sent(groupId=group_id, userId=user_id))
