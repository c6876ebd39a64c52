"""Groups: making, finding, changing and ending them; members and roles."""

from datetime import UTC
from typing import Any

from marshmallow import fields
from marshmallow.validate import OneOf

from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import Address, CommaList, Name, PageSchema, WireId, WireSchema
from chat.services import groups, members, roles
from chat.services.groups import Settings
from chat.transaction import Transaction

__all__ = [
    "AddSchema", "CreateSchema", "GroupSchema", "MuteSchema", "OneMemberSchema", "RoleSchema", "SettingsSchema",
    "UpdateSchema",
]  # fmt: skip

NAME = 100  # characters of a group's name: a line on any screen
CREATED_WITH = 5_000  # ids in one request; GROUP_MEMBERS, which may be set lower, is the rule
ADDED_AT_ONCE = 100  # ids in one request: they stand in the notice that every member gets


class GroupSchema(WireSchema):
    """One group."""

    group_id = WireId(required=True)


class SettingsSchema(WireSchema):
    """What can be set of a group."""

    avatar = Address(allow_none=True)
    history = fields.String(validate=OneOf(["all", "joined"]), metadata={"description": "What a new member sees."})
    joining = fields.String(validate=OneOf(["open", "invited"]), metadata={"description": "Who may come in."})
    listed = fields.Boolean(metadata={"description": "Found by everybody."})


class CreateSchema(SettingsSchema):
    """A new group."""

    name = Name(NAME, required=True)
    member_ids = CommaList(WireId(), CREATED_WITH, load_default=list)


class UpdateSchema(GroupSchema, SettingsSchema):
    """Changes of a group; what is missing stays, an avatar of null goes."""

    name = Name(NAME)


class AddSchema(GroupSchema):
    """Users to let in."""

    user_ids = CommaList(WireId(), ADDED_AT_ONCE, required=True)


class OneMemberSchema(GroupSchema):
    """One member of a group."""

    user_id = WireId(required=True)


class RoleSchema(OneMemberSchema):
    """A member's new role."""

    role = fields.String(required=True, validate=OneOf([members.ADMIN, members.MEMBER]))


class MuteSchema(OneMemberSchema):
    """Until when a member may not write; null: they may."""

    until = fields.AwareDateTime(format="iso", default_timezone=UTC, required=True, allow_none=True)


def _create(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return groups.create(tx, caller, _settings(data), data["member_ids"]).data


def _get(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return groups.get(tx, caller.user_id, data["group_id"])


def _list(tx: Transaction, _caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return groups.listed(tx, data["cursor"], data["limit"])


def _update(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return groups.update(tx, caller, data["group_id"], _settings(data))


def _delete(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    groups.delete(tx, caller, data["group_id"])
    return {"success": True}


def _join(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return members.join(tx, caller, data["group_id"]).data


def _leave(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    members.leave(tx, caller, data["group_id"])
    return {"success": True}


def _add(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    return members.add(tx, caller, data["group_id"], data["user_ids"]).data


def _remove(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    members.remove(tx, caller, data["group_id"], data["user_id"])
    return {"success": True}


def _role(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    roles.assign(tx, caller, data["group_id"], data["user_id"], data["role"])
    return groups.get(tx, caller.user_id, data["group_id"])


def _transfer(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    roles.transfer(tx, caller, data["group_id"], data["user_id"])
    return groups.get(tx, caller.user_id, data["group_id"])


def _mute(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    roles.mute(tx, caller, data["group_id"], data["user_id"], data["until"])
    return {"success": True}


def _settings(data: dict[str, Any]) -> Settings:
    given = {name: data[name] for name in Settings._fields if name in data}
    if "avatar" in given:
        given["avatar"] = given["avatar"] or ""
    return Settings(**given)


create = Verb("group.create", CreateSchema, _create, cost=5.0, creates=True)
get = Verb("group.get", GroupSchema, _get)
list_ = Verb("group.list", PageSchema, _list, cost=2.0)
update = Verb("group.update", UpdateSchema, _update, cost=2.0)
delete = Verb("group.delete", GroupSchema, _delete, cost=5.0)
join = Verb("group.join", GroupSchema, _join, cost=2.0)
leave = Verb("group.leave", GroupSchema, _leave, cost=2.0)
add = Verb("group.add", AddSchema, _add, cost=5.0)
remove = Verb("group.remove", OneMemberSchema, _remove, cost=2.0)
role = Verb("group.role", RoleSchema, _role, cost=2.0)
transfer = Verb("group.transfer", OneMemberSchema, _transfer, cost=2.0)
mute = Verb("group.mute", MuteSchema, _mute, cost=2.0)
