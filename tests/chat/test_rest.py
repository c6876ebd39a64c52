import orjson
import pytest
from flask import Blueprint
from marshmallow import fields

from chat.errors import ChatError
from chat.messages import Sent
from chat.rest import answer, caller, describe, in_transaction, loaded, operation_of, run_verb, sent
from chat.schemas import WireSchema
from tests.chat.door import Visitor, code_of, rest_app
from tests.chat.world import NUMBERS


class EchoSchema(WireSchema):
    some_text = fields.String(required=True)


def probe() -> Blueprint:
    made = Blueprint("probe", __name__, url_prefix="/api/v1/probe")

    @made.route("/sent/<name>", methods=["GET", "POST", "DELETE"])
    @describe("Say what was sent.", public=True)
    def sent_(name):
        return answer(sent(name=name))

    @made.post("/loaded")
    @describe("Say what was loaded.", request=EchoSchema, status=201, public=True)
    def loaded_():
        return answer(loaded(EchoSchema))

    @made.get("/caller")
    @describe("Say who calls.")
    def caller_():
        assert caller() is caller()
        return answer({"id": caller().public_id})

    @made.get("/nothing")
    @describe("Say nothing.", status=204, public=True)
    def nothing():
        return answer(None)

    @made.get("/bytes")
    @describe("Say encoded data.", public=True)
    def bytes_():
        return answer(b'{"a":1}')

    @made.get("/count")
    @describe("Ask the database.", public=True)
    def count():
        return answer({"one": in_transaction(lambda tx: tx.execute("SELECT 1").scalar())})

    @made.post("/verb/<op>")
    @describe("Run any verb.", status=202)
    def verb(op):
        return run_verb(op, sent())

    return made


@pytest.fixture
def app(engine, redis_url):
    made = rest_app(engine, redis_url)
    made.register_blueprint(probe())
    return made


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def ann(app):
    return Visitor(app, f"Ann{next(NUMBERS)}")


def test_the_query_is_sent_without_a_body_and_the_body_with_one(client):
    assert client.get("/api/v1/probe/sent/x?a=1&name=evil").json == {"a": "1", "name": "x"}
    assert client.delete("/api/v1/probe/sent/x?a=1").json == {"a": "1", "name": "x"}
    assert client.post("/api/v1/probe/sent/x?a=1", json={"b": 2, "name": "evil"}).json == {"b": 2, "name": "x"}


def test_what_was_sent_is_loaded_by_its_schema_and_answered_with_the_described_status(client):
    answered = client.post("/api/v1/probe/loaded", json={"someText": "hi", "more": 1})
    assert (answered.status_code, answered.json) == (201, {"some_text": "hi"})
    assert client.post("/api/v1/probe/loaded", json={}).json["error"]["details"] == {
        "someText": ["Missing data for required field."]
    }


def test_nobody_gets_in_without_a_token_where_nothing_is_said_of_it(client, ann):
    assert code_of(client.get("/api/v1/probe/caller")) == "not_authenticated"
    assert ann.get("/probe/caller").json == {"id": ann.id}


def test_no_answer_has_no_body(client):
    answered = client.get("/api/v1/probe/nothing")
    assert (answered.status_code, answered.data) == (204, b"")


def test_encoded_data_goes_out_as_it_is(client):
    answered = client.get("/api/v1/probe/bytes")
    assert (answered.data, answered.mimetype) == (b'{"a":1}', "application/json")


def test_what_is_no_verb_has_a_unit_of_work_of_its_own(client):
    assert client.get("/api/v1/probe/count").json == {"one": 1}


def test_a_verb_is_run_for_the_caller(ann):
    answered = ann.post("/probe/verb/user.me")
    assert (answered.status_code, answered.json["id"]) == (202, ann.id)


@pytest.mark.parametrize(("known", "status"), [(False, 201), (True, 200)])
def test_a_new_message_answers_201_and_a_known_one_200(app, ann, monkeypatch, known, status):
    node = app.extensions["chat.node"]
    monkeypatch.setattr(node, "execute", lambda who, command: Sent(orjson.dumps({"op": command.op}), known))
    answered = ann.post("/probe/verb/message.send")
    assert (answered.status_code, answered.json) == (status, {"op": "message.send"})


def test_a_verb_gets_caller_data_and_key(app, ann, monkeypatch):
    seen = []
    monkeypatch.setattr(app.extensions["chat.node"], "execute", lambda *given: seen.append(given) or {})
    ann.post("/probe/verb/x.y", {"a": 1}, headers={"Idempotency-Key": "key 1"})
    who, command = seen[0]
    assert (who.public_id, command.op, command.data, command.idempotency_key) == (ann.id, "x.y", {"a": 1}, "key 1")


def test_a_verbs_refusal_is_the_routes(app, ann, monkeypatch):
    def refuse(*_):
        raise ChatError("not_a_member")

    monkeypatch.setattr(app.extensions["chat.node"], "execute", refuse)
    assert ann.post("/probe/verb/x").status_code == 403


def test_a_description_can_be_looked_up(app):
    with app.app_context():
        assert operation_of("probe.loaded_").status == 201
        assert operation_of("health.alive") is None
        assert operation_of(None) is None
