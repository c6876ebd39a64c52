import pytest

from tests.chat.door import Visitor, code_of, rest_app
from tests.chat.world import NUMBERS


@pytest.fixture
def app(engine, redis_url):
    return rest_app(engine, redis_url)


@pytest.fixture
def ann(app):
    return Visitor(app, f"Ann{next(NUMBERS)}")


@pytest.fixture
def bob(app):
    return Visitor(app, f"Bob{next(NUMBERS)}")


def number_of(visitor):
    return int(visitor.id[1:])


def test_one_sees_oneself_with_ones_settings(ann):
    me = ann.get("/users/me").json
    assert me["username"] == me["name"] == ann.username
    assert (me["showsPresence"], me["sendsReceipts"], me["listed"]) == (True, True, True)


def test_others_see_a_person_without_settings(ann, bob):
    seen = bob.get(f"/users/{ann.id}").json
    assert set(seen) == {"id", "username", "name", "avatar", "statusText", "online", "lastSeenAt"}


@pytest.mark.parametrize("user", ["nobody", "u999999999", "u" * 65, "%E6%9D%8E", "a b"])
def test_nobody_is_told_as_unknown(ann, user):
    answer = ann.get(f"/users/{user}")
    assert (answer.status_code, code_of(answer)) in {(404, "unknown_user"), (400, "invalid")}


def test_a_profile_is_changed_in_parts(ann, bob):
    changed = ann.call(
        "PATCH", "/users/me", json={"name": " Ann Lee ", "statusText": "at sea", "avatar": "/uploads/a.png"}
    )
    assert changed.status_code == 200
    assert ann.call("PATCH", "/users/me", json={"statusText": None, "unknown": 1}).json["statusText"] is None
    seen = bob.get(f"/users/{ann.id}").json
    assert (seen["name"], seen["avatar"], seen["statusText"]) == ("Ann Lee", "/uploads/a.png", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", None),
        ("name", "a\nb"),
        ("name", "a" * 65),
        ("avatar", "javascript:alert(1)"),
        ("avatar", 5),
        ("statusText", "a" * 201),
        ("statusText", "a\0"),
        ("showsPresence", "maybe"),
        ("listed", None),
    ],
)
def test_what_is_wrong_in_a_profile_is_told_by_field(ann, field, value):
    answer = ann.call("PATCH", "/users/me", json={"name": "fine", field: value} if field != "name" else {field: value})
    assert (answer.status_code, code_of(answer)) == (400, "invalid")
    assert list(answer.json["error"]["details"]) == [field]
    assert ann.get("/users/me").json["name"] == ann.username


def test_who_does_not_want_to_be_seen_is_not(app, ann, bob):
    node = app.extensions["chat.node"]
    node.presence.online.add(number_of(ann))
    assert bob.get(f"/users/{ann.id}").json["online"] is True
    ann.call("PATCH", "/users/me", json={"showsPresence": False})
    assert node.presence.said_again == [number_of(ann)]
    assert bob.get(f"/users/{ann.id}").json["online"] is False
    assert bob.get(f"/presence?ids={ann.id}").json["presence"] == [
        {"userId": ann.id, "online": False, "lastSeenAt": None, "number": 0}
    ]
    assert bob.get(f"/users?query={ann.username}").json["users"][0]["online"] is False
    assert ann.get("/users/me").json["online"] is True


def test_presence_of_several_is_asked_at_once(app, ann, bob):
    app.extensions["chat.node"].presence.online.add(number_of(ann))
    found = ann.get(f"/presence?ids={ann.id},{bob.id},nobody,{ann.id}").json["presence"]
    assert {one["userId"]: one["online"] for one in found} == {ann.id: True, bob.id: False}


def test_who_watches_over_rest_names_their_session(ann, bob):
    answer = ann.call("PUT", "/presence/watch", json={"userIds": [bob.id]})
    assert (answer.status_code, code_of(answer)) == (400, "invalid")
    assert list(answer.json["error"]["details"]) == ["Chat-Session"]


@pytest.mark.parametrize("query", ["", "?ids=" + ",".join(f"u{n}" for n in range(201)), "?ids=" + "u" * 65])
def test_whose_presence_must_be_said_and_is_bounded(ann, query):
    answer = ann.get(f"/presence{query}")
    assert (answer.status_code, code_of(answer)) == (400, "invalid")
    assert all(field.startswith("ids") for field in answer.json["error"]["details"])


def test_people_are_found_by_name_in_pages(app, ann):
    tag = f"tag{next(NUMBERS)}x"
    for number in range(3):
        Visitor(app, f"{tag}{number}")
    first = ann.get(f"/users?query={tag.upper()}&limit=2").json
    assert [user["name"] for user in first["users"]] == [f"{tag}0", f"{tag}1"]
    second = ann.get(f"/users?query={tag}&limit=2&cursor={first['nextCursor']}").json
    assert ([user["name"] for user in second["users"]], second["nextCursor"]) == ([f"{tag}2"], None)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "query=" + "a" * 65])
def test_odd_searches_are_invalid(ann, query):
    answer = ann.get(f"/users?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


@pytest.mark.parametrize("path", ["/users", "/users/me", "/users/u1", "/presence?ids=u1"])
def test_nobody_is_shown_to_who_is_not_logged_in(app, path):
    assert app.test_client().get(f"/api/v1{path}").status_code == 401
