"""What devices do besides writing: they look, they come and go, they change groups and what they have set."""

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tests.chaos.actor import Actor, Errand
from tests.chaos.plan import Act

__all__ = ["ERRANDS"]

T = TypeVar("T")
OUTSIDE = {"not_a_member"}
LOW = {"not_a_member", "forbidden", "unknown_user"}  # who stands too low, or is not there
LONG = timedelta(hours=1)  # a ban on writing, which outlasts the run
LOOK = 0.02  # seconds between two looks whether what is waited for is there


# Looking.


def read(actor: Actor, act: Act) -> None:
    """Read to the end of what this device was handed, or as far as it was acked."""
    where = actor.conversation(act)
    if where:
        upto = {"seq": actor.high[where]} if where in actor.high and act.number % 2 else {}
        actor.attempt(lambda: actor.device.ask("read", conversationId=where, **upto), OUTSIDE)


def read_many(actor: Actor, _act: Act) -> None:
    """Read everything that this device knows of."""
    asked = [{"id": where} for where in sorted({where for where, _ in actor.device.entries.copy()})]
    answer = actor.attempt(lambda: actor.device.ask("unread.read", conversations=asked), set())
    for where, told in (answer or {"conversations": {}})["conversations"].items():
        code = told.get("error", {"code": "not_a_member"})["code"]
        if code not in {"not_a_member", "unavailable", "overloaded"}:
            actor.accuse(f"{where} was not read: {told}")


def delivered(actor: Actor, act: Act) -> None:
    """Say how far this device has a conversation."""
    where = actor.conversation(act)
    if where in actor.high:
        actor.attempt(lambda: actor.device.ask("delivered", conversationId=where, seq=actor.high[where]), OUTSIDE)


def history(actor: Actor, act: Act) -> None:
    """Look whether what was acked before stands in what is read after."""
    where = actor.conversation(act)
    if where:
        high = actor.high.get(where, 0)
        page = actor.attempt(lambda: actor.device.ask("history", conversationId=where, limit=50), OUTSIDE)
        if page:
            actor.device.keep(page["messages"])
            if page["messages"] and page["messages"][-1]["seq"] < high:
                actor.accuse(f"history of {where} ends at {page['messages'][-1]['seq']}, {high} was acked before")


def list_(actor: Actor, act: Act) -> None:
    """Look at the list, at one conversation, or at who is in it."""
    where = actor.conversation(act)
    if not where or act.number % 3 == 0:
        actor.attempt(lambda: actor.device.ask("conversation.list"), set())
    else:
        verb = ("conversation.get", "conversation.members")[act.number % 2]
        actor.attempt(lambda: actor.device.ask(verb, conversationId=where), OUTSIDE)


def refresh(actor: Actor, _act: Act) -> None:
    """Ask for everything that is lacking."""
    actor.attempt(actor.device.refresh, OUTSIDE)


def unread(actor: Actor, _act: Act) -> None:
    """Ask for the counts."""
    actor.attempt(actor.device.person.unread, set())


def typing(actor: Actor, act: Act) -> None:
    """Type."""
    where = actor.conversation(act)
    if where:
        actor.attempt(lambda: actor.device.ask("typing", conversationId=where, typing=bool(act.number % 2)), OUTSIDE)


def watch(actor: Actor, _act: Act) -> None:
    """Watch everybody, where commands go with the session."""
    if actor.device.carrier == "websocket":
        ids = [person.id for person in actor.scene.people]
        actor.attempt(lambda: actor.device.ask("presence.watch", userIds=ids), set())


# Coming and going.


def move(actor: Actor, act: Act) -> None:
    """Go on with another carrier, at another server."""
    try:
        actor.device.move(act.carrier, actor.scene.urls[act.web])
    except AssertionError:  # all servers are away for long; whether it came back is asked in the end
        actor.refusals["away"] += 1


def away(actor: Actor, act: Act) -> None:
    """Stay away until somebody has written more than a batch holds, or until all is over."""
    actor.scene.story.tell(f"{actor.device.name} stays away")
    actor.device.sleep()
    while not (actor.scene.floods[act.number].is_set() or actor.scene.over.wait(LOOK)):
        continue
    actor.device.wake()
    actor.scene.story.tell(f"{actor.device.name} comes back")


def go(actor: Actor, _act: Act) -> None:
    """Go for good, politely."""
    actor.device.go()
    actor.scene.gone[actor.device.person.id] = time.monotonic()


def vanish(actor: Actor, _act: Act) -> None:
    """Be lost for good."""
    actor.device.vanish()
    actor.scene.gone[actor.device.person.id] = time.monotonic()


# A conversation as one has it.


def clear(actor: Actor, act: Act) -> None:
    """Take everything up to now out of one's sight."""
    where = actor.conversation(act)
    if where:
        _do(actor, act, "conversation.clear", OUTSIDE, conversationId=where)


def set_(actor: Actor, act: Act) -> None:
    """Pin, silence or hide."""
    where = actor.conversation(act)
    if where:
        chosen = {_pick(act, ("pinned", "muted", "hidden")): act.number % 2 == 0}
        _do(actor, act, "conversation.update", OUTSIDE, conversationId=where, **chosen)


# Groups.


def remove(actor: Actor, act: Act) -> None:
    """Take somebody out."""
    _change(actor, act, "group.remove", LOW, userId=_whom(actor, act))


def add(actor: Actor, act: Act) -> None:
    """Let somebody in."""
    _change(actor, act, "group.add", LOW, userIds=[_whom(actor, act)])


def leave(actor: Actor, act: Act) -> None:
    """Leave."""
    _change(actor, act, "group.leave", {"not_a_member", "last_owner"})


def join(actor: Actor, act: Act) -> None:
    """Come in. A group that its last member left is no more."""
    _change(actor, act, "group.join", {"join_not_allowed", "not_a_member"})


def change(actor: Actor, act: Act) -> None:
    """Give a group another name, open or close it, or open its past to new members."""
    settings: tuple[dict[str, str], ...] = (
        {"name": f"group {act.at}"},
        {"joining": "open"},
        {"joining": "invited"},
        {"history": "all"},
    )
    _change(actor, act, "group.update", LOW, **_pick(act, settings))


def role(actor: Actor, act: Act) -> None:
    """Make somebody an admin, or an admin a member."""
    chosen = _pick(act, ("admin", "member"))
    _change(actor, act, "group.role", {*LOW, "last_owner"}, userId=_whom(actor, act), role=chosen)


def transfer(actor: Actor, act: Act) -> None:
    """Hand a group over."""
    _change(actor, act, "group.transfer", LOW, userId=_whom(actor, act))


def mute(actor: Actor, act: Act) -> None:
    """Silence somebody, or let them write again."""
    until = (datetime.now(UTC) + LONG).isoformat() if _pick(act, (True, False)) else None
    _change(actor, act, "group.mute", LOW, userId=_whom(actor, act), until=until)


def found(actor: Actor, act: Act) -> None:
    """Make a group of a few, once however often it is asked for, and write into it."""
    person, key = actor.device.person, uuid.uuid4().hex
    members = [other.id for other in actor.scene.people[: act.number + 1]]
    data = {"name": f"founded {key}", "memberIds": members}
    url = actor.scene.urls[act.web]
    made = actor.insist(
        lambda: person.call("POST", "/groups", data, actor.device.token, url, **{"Idempotency-Key": key}), set()
    )
    if made:
        actor.founded.append(made["id"])
        message = {"content": f"first of {key}", "localId": key, "conversationId": made["id"]}
        actor.deliver([message], set())


def end(actor: Actor, act: Act) -> None:
    """End a group of one's own."""
    if actor.founded:
        _do(actor, act, "group.delete", OUTSIDE, groupId=actor.founded.pop())


def _pick(act: Act, among: Sequence[T]) -> T:
    """Return one of these by the milliseconds of an act: its number is taken."""
    return among[round(act.at * 1_000) % len(among)]


def _whom(actor: Actor, act: Act) -> str:
    return actor.scene.people[act.number].id


def _change(actor: Actor, act: Act, op: str, allowed: set[str], **data: Any) -> None:
    _do(actor, act, op, allowed, groupId=actor.scene.groups[int(act.place[1:])], **data)


def _do(actor: Actor, act: Act, op: str, allowed: set[str], **data: Any) -> None:
    """Do what changes something, and tell the story of it."""
    actor.scene.story.tell(f"{actor.device.name} {act.verb} {data}")
    done = actor.attempt(lambda: actor.device.ask(op, **data) or True, allowed)
    actor.scene.story.tell(f"{actor.device.name} {act.verb} {data}: {'done' if done else 'not done'}")


ERRANDS: Mapping[str, Errand] = {
    "read": read, "read many": read_many, "delivered": delivered, "history": history, "list": list_,
    "refresh": refresh, "unread": unread, "typing": typing, "watch": watch, "move": move, "away": away, "go": go,
    "vanish": vanish, "clear": clear, "set": set_, "remove": remove, "add": add, "leave": leave, "join": join,
    "change": change, "role": role, "transfer": transfer, "mute": mute, "found": found, "end": end,
}  # fmt: skip
