import re

import pytest

from app import create_app
from chat.errors import CODES
from chat.openapi import PREFIX, openapi
from tests.chat.door import SECRET


@pytest.fixture(scope="module")
def app(database_url, redis_url):
    return create_app({"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": SECRET, "DATA_DIR": ""})


@pytest.fixture(scope="module")
def document(app):
    return openapi(app)


def operations(document):
    return [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_route_of_the_api_is_described(app, document):
    routes = {
        (re.sub(r"<(?:[^:<>]+:)?\w+>", "{}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(re.sub(r"{\w+}", "{}", path), method) for path, method, _ in operations(document)}
    assert routes
    assert routes - described == set()


def test_every_declared_error_has_a_code(document):
    for path, _, operation in operations(document):
        for response in operation["responses"].values():
            for code in re.findall(r"`(\w+)`:", response["description"]):
                assert code in CODES, path


def test_every_reference_leads_somewhere(document):
    found = set(references(document))
    assert found
    for reference in found:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_only_the_front_door_is_public(document):
    public = {path for path, _, operation in operations(document) if not operation["security"]}
    assert public == {f"{PREFIX}auth/{name}" for name in ("register", "login", "refresh")}


def test_a_path_has_its_variables_as_parameters(document):
    for path, _, operation in operations(document):
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_operation_ids_are_unique(document):
    ids = [(operation["operationId"], method) for _, method, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_bodies_and_queries_come_from_the_schemas(document):
    login = document["paths"][f"{PREFIX}auth/login"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"username", "password", "deviceName"} == set(login["properties"])
    assert set(login["required"]) == {"username", "password"}
    query = {one["name"]: one for one in document["paths"][f"{PREFIX}presence"]["get"]["parameters"]}
    assert (query["ids"]["required"], query["ids"]["explode"]) == (True, False)


def test_a_form_is_told_as_one(document):
    content = document["paths"]["/api/v1/uploads"]["post"]["requestBody"]["content"]
    assert content["multipart/form-data"]["schema"]["properties"]["media"]["format"] == "binary"


def test_what_the_path_says_is_not_asked_for_again(document):
    send = document["paths"][PREFIX + "users/{userId}/messages"]["post"]["requestBody"]["content"]["application/json"]
    assert "content" in send["schema"]["properties"]
    assert not {"toUser", "conversationId", "userId"} & set(send["schema"]["properties"])


def test_the_document_is_the_same_each_time(app, document):
    assert openapi(app) == document
