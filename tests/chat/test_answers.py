"""What the documents say of the answers is what they are: every field that comes is declared, none is missing."""

from typing import Any

from marshmallow import Schema

from chat import answers
from tests.chat.door import Visitor


def check(schema: type[Schema], data: Any) -> None:
    """Hold an answer against its schema."""
    assert schema().validate(data) == {}
    assert undeclared(schema, data) == set()


def undeclared(schema: type[Schema], data: dict[str, Any]) -> set[str]:
    """Return the fields of an answer that its schema does not know, those of nested ones included."""
    fields = {field.data_key or name: field for name, field in schema().fields.items()}
    found = {name for name in data if name not in fields}
    for name, field in fields.items():
        for nested, value in nested_in(field, data.get(name)):
            found |= {f"{name}.{inner}" for inner in undeclared(nested, value)}
    return found


def nested_in(field: Any, value: Any) -> list[tuple[type[Schema], dict[str, Any]]]:
    if value is None:
        return []
    if hasattr(field, "nested"):
        return [(type(field.schema), value)]
    if isinstance(value, list):
        return [pair for one in value for pair in nested_in(getattr(field, "inner", None), one)]
    if isinstance(value, dict) and getattr(field, "value_field", None):
        return [pair for one in value.values() for pair in nested_in(field.value_field, one)]
    return []


def test_answers_are_as_described(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    message = ann.post(f"/users/{bob.id}/messages", {"content": "hi", "metadata": {"a": 1}}).json
    group = ann.post("/groups", {"name": "Club", "memberIds": [bob.id], "listed": True}).json
    ann.call("PUT", f"/groups/{group['id']}/members/{bob.id}/mute", json={"until": "2999-01-01T00:00:00Z"})
    wire_id = message["conversationId"]
    stand = {"seq": 0, "change": 0}
    for schema, data in (
        (answers.MessageSchema, message),
        (answers.ConversationViewSchema, group),
        (answers.ConversationViewSchema, bob.get(f"/conversations/{group['id']}").json),
        (answers.ConversationListSchema, bob.get("/conversations").json),
        (answers.GroupListSchema, bob.get("/groups").json),
        (answers.MemberListSchema, bob.get(f"/groups/{group['id']}/members").json),
        (answers.MessagePageSchema, bob.get(f"/conversations/{wire_id}/messages").json),
        (answers.SyncAnswerSchema, bob.post("/sync", {"conversations": {wire_id: stand, "g999999999": stand}}).json),
        (answers.UnreadAnswerSchema, bob.get("/unread").json),
        (answers.ReadAnswerSchema, bob.post(f"/conversations/{wire_id}/read").json),
        (answers.ReadManyAnswerSchema, bob.post("/unread/read", {"conversations": [{"id": wire_id}]}).json),
    ):
        check(schema, data)


def test_an_undeclared_field_is_found_at_any_depth() -> None:
    page = {"messages": [{"surprise": 1}], "hasMore": False}
    assert undeclared(answers.MessagePageSchema, page) == {"messages.surprise"}
    assert undeclared(answers.UnreadAnswerSchema, {"conversations": {"g1": {"x": 1}}}) == {"conversations.x"}
