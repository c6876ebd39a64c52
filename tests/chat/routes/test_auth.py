import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from argon2 import PasswordHasher

from tests.chat.door import PASSWORD, SECRET, Visitor, code_of, rest_app
from tests.chat.world import NUMBERS

REGISTER, LOGIN, REFRESH = "/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/refresh"


@pytest.fixture
def app(engine, redis_url):
    return rest_app(engine, redis_url)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def ann(app):
    return Visitor(app, fresh())


def fresh():
    return f"Ann{next(NUMBERS)}"


def log_in(client, username, password=PASSWORD, **more):
    return client.post(LOGIN, json={"username": username, "password": password}, **more)


def test_who_registers_is_logged_in(client):
    name = fresh()
    answer = client.post(REGISTER, json={"username": name, "password": PASSWORD, "displayName": " Ann Lee "})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == {"user", "accessToken", "refreshToken", "expiresIn"}
    assert answer.json["user"]["name"] == "Ann Lee"
    assert answer.json["expiresIn"] == 3_600
    me = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {answer.json['accessToken']}"})
    assert me.json["id"] == answer.json["user"]["id"]


def test_a_name_is_taken_once_in_whatever_case(client, ann):
    again = client.post(REGISTER, json={"username": ann.username.upper(), "password": PASSWORD})
    assert (again.status_code, code_of(again)) == (409, "name_taken")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "   "),
        ("username", "a" * 65),
        ("username", "a\nb"),
        ("username", "a\u202eb"),
        ("username", "zero\u200bwidth"),
        ("username", 5),
        ("username", None),
        ("password", "short"),
        ("password", "a" * 201),
        ("password", "nul\0nul\0nul"),
        ("password", 12_345_678),
        ("displayName", "a" * 65),
        ("displayName", "a\u2028b"),
    ],
)
def test_odd_names_and_passwords_are_told_by_field(client, field, value):
    data = {"username": fresh(), "password": PASSWORD} | {field: value}
    answer = client.post(REGISTER, json=data)
    assert (answer.status_code, code_of(answer)) == (400, "invalid")
    assert list(answer.json["error"]["details"]) == [field]


def test_registration_can_be_closed(engine, redis_url):
    client = rest_app(engine, redis_url, REGISTRATION=False).test_client()
    answer = client.post(REGISTER, json={"username": fresh(), "password": PASSWORD})
    assert (answer.status_code, code_of(answer)) == (403, "forbidden")


def test_logging_in_takes_the_right_password_and_any_case_of_the_name(client, ann):
    answer = log_in(client, ann.username.upper())
    assert answer.status_code == 200
    assert answer.json["user"]["id"] == ann.id


@pytest.mark.parametrize("password", ["wrong horse", PASSWORD.upper(), PASSWORD + " "])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(client, ann, password):
    wrong, unknown = log_in(client, ann.username, password), log_in(client, fresh(), password)
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json == unknown.json
    assert code_of(wrong) == "bad_credentials"


def test_an_unknown_name_takes_as_long_as_a_wrong_password(client, ann):
    def fastest(username):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            log_in(client, username, "wrong horse")
            times.append(time.perf_counter() - start)
        return min(times)

    assert fastest(fresh()) > 0.5 * fastest(ann.username)


def test_a_hash_of_old_parameters_is_renewed_at_the_next_login(app, client, ann, world):
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    world.sql("UPDATE users SET password_hash = :hash WHERE public_id = :id", hash=old, id=ann.id)
    assert log_in(client, ann.username).status_code == 200
    assert world.rows("SELECT password_hash FROM users WHERE public_id = :id", id=ann.id)[0][0] != old
    assert log_in(client, ann.username).status_code == 200


def test_guessing_is_slowed_down(engine, redis_url):
    client = rest_app(engine, redis_url, LOGIN_PER_NAME=3).test_client()
    name = fresh()
    answers = [log_in(client, name, "wrong horse") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert code_of(answers[-1]) == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert log_in(client, fresh(), "wrong horse").status_code == 401


def test_one_address_registers_so_often_and_no_more(engine, redis_url):
    client = rest_app(engine, redis_url, LOGIN_PER_ADDRESS=2).test_client()
    address = {"REMOTE_ADDR": f"203.0.113.{next(NUMBERS) % 250}"}
    said = [
        client.post(REGISTER, json={"username": fresh(), "password": PASSWORD}, environ_base=address).status_code
        for _ in range(4)
    ]
    assert said == [201, 201, 429, 429]


def test_a_forwarded_address_is_believed_from_trusted_proxies_only(engine, redis_url):
    def tries(**settings):
        client = rest_app(engine, redis_url, LOGIN_PER_ADDRESS=2, **settings).test_client()
        base = {"REMOTE_ADDR": f"198.51.100.{next(NUMBERS) % 250}"}
        return [
            log_in(
                client, fresh(), "wrong horse", environ_base=base, headers={"X-Forwarded-For": f"192.0.2.{number}"}
            ).status_code
            for number in range(4)
        ]

    assert tries() == [401, 401, 429, 429]
    assert tries(TRUSTED_PROXIES=1) == [401] * 4


def test_without_redis_people_still_log_in(engine, ann, tmp_path):
    client = rest_app(engine, f"unix://{tmp_path}/nobody", LOGIN_PER_NAME=3, LOGIN_PER_ADDRESS=3).test_client()
    said = [log_in(client, ann.username).status_code for _ in range(5)]
    assert said == [200, 200, 200, 429, 429]


def test_a_refresh_token_is_changed_for_a_new_pair(client, ann):
    answer = client.post(REFRESH, json={"refreshToken": ann.refresh})
    assert answer.status_code == 200
    assert answer.json["refreshToken"] != ann.refresh
    ann.take(answer)
    assert ann.get("/users/me").status_code == 200


def test_a_reused_refresh_token_ends_the_login_and_its_connections(app, client, ann):
    client.post(REFRESH, json={"refreshToken": ann.refresh})
    again = client.post(REFRESH, json={"refreshToken": ann.refresh})
    assert (again.status_code, code_of(again)) == (401, "bad_token")
    assert len(app.extensions["chat.node"].ended) == 1
    assert ann.get("/users/me").status_code == 401


def test_a_repeated_refresh_with_its_key_is_answered_again(client, ann):
    headers = {"Idempotency-Key": "a lost answer"}
    first = client.post(REFRESH, json={"refreshToken": ann.refresh}, headers=headers)
    second = client.post(REFRESH, json={"refreshToken": ann.refresh}, headers=headers)
    assert second.status_code == 200
    assert second.json["refreshToken"] == first.json["refreshToken"]


@pytest.mark.parametrize("token", ["", "x", "1.0.a.b", None, 5, "用户", "a" * 2_000])
def test_odd_refresh_tokens_are_refused(client, token):
    assert client.post(REFRESH, json={"refreshToken": token}).status_code in (400, 401)


def test_logging_out_ends_the_login_and_its_connections(app, client, ann):
    assert ann.post("/auth/logout").json == {"success": True}
    assert len(app.extensions["chat.node"].ended) == 1
    assert ann.get("/users/me").status_code == 401
    assert client.post(REFRESH, json={"refreshToken": ann.refresh}).status_code == 401


def test_devices_are_listed_and_each_can_be_ended(app, client, ann):
    other = log_in(client, ann.username, headers={"User-Agent": "A phone\u202e"}).json
    listed = ann.get("/auth/logins").json["logins"]
    assert [login["current"] for login in listed] == [False, True]
    assert listed[0]["name"].startswith("A phone")
    assert ann.call("DELETE", f"/auth/logins/{listed[0]['id']}").json == {"success": True}
    assert app.extensions["chat.node"].ended == [int(listed[0]["id"])]
    gone = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {other['accessToken']}"})
    assert (gone.status_code, code_of(gone)) == (401, "bad_token")
    assert ann.get("/users/me").status_code == 200


@pytest.mark.parametrize("login", ["0", "999999999", str(2**63), "x", "-1", "1.5", "%00"])
def test_a_login_that_is_not_there_cannot_be_ended(ann, login):
    answer = ann.call("DELETE", f"/auth/logins/{login}")
    assert answer.status_code in (400, 404)


def test_nobody_ends_the_login_of_another(app, ann):
    bob = Visitor(app, fresh())
    login = bob.get("/auth/logins").json["logins"][0]["id"]
    assert ann.call("DELETE", f"/auth/logins/{login}").status_code == 404
    assert bob.get("/users/me").status_code == 200


def test_a_long_token_is_a_device_of_its_own(client, ann):
    answer = ann.post("/auth/token", {"name": "kiosk"})
    assert (answer.status_code, answer.json["expiresIn"]) == (201, 30 * 86_400)
    headers = {"Authorization": f"Bearer {answer.json['accessToken']}"}
    assert client.get("/api/v1/users/me", headers=headers).status_code == 200
    named = [login for login in ann.get("/auth/logins").json["logins"] if login["name"] == "kiosk"]
    assert [(login["kind"], login["id"]) for login in named] == [("token", answer.json["loginId"])]
    ann.call("DELETE", f"/auth/logins/{answer.json['loginId']}")
    assert client.get("/api/v1/users/me", headers=headers).status_code == 401


def test_a_ticket_opens_one_connection(app, ann):
    answer = ann.post("/auth/ticket")
    assert (answer.status_code, answer.json["expiresIn"]) == (201, 30)
    assert app.extensions["chat.node"].auth.caller_of_ticket(answer.json["ticket"]).public_id == ann.id


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "logout"), ("POST", "token"), ("POST", "ticket"), ("GET", "logins"), ("DELETE", "logins/1")],
)
@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "not_authenticated"),
        ("Bearer", "not_authenticated"),
        ("Bearer null", "not_authenticated"),
        ("Bearer 用户token", "bad_token"),
        ("Bearer a.b.c", "bad_token"),
        ("Bearer \x01\x02", "bad_token"),
    ],
)
def test_without_a_token_nothing_is_given(client, method, path, header, code):
    headers = {} if header is None else {"Authorization": header.encode().decode("latin-1")}
    answer = client.open(f"/api/v1/auth/{path}", method=method, headers=headers)
    assert (answer.status_code, code_of(answer)) == (401, code)


def test_an_expired_token_is_a_bad_token(client, ann):
    claims = jwt.decode(ann.token, SECRET, algorithms=["HS256"])
    old = jwt.encode(claims | {"exp": int(time.time()) - 60}, SECRET, "HS256")
    answer = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {old}"})
    assert (answer.status_code, code_of(answer)) == (401, "bad_token")


def test_a_hosts_token_calls_like_any_other(engine, redis_url):
    app = rest_app(engine, redis_url, JWT_AUTO_CREATE=True)
    name = f"host{next(NUMBERS)}"
    token = jwt.encode({"id": name, "exp": int(time.time()) + 60, "name": "Ann"}, SECRET, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    answer = app.test_client().get("/api/v1/users/me", headers=headers)
    assert (answer.json["id"], answer.json["name"], answer.json["username"]) == (name, "Ann", None)
    assert app.test_client().post("/api/v1/auth/token", json={}, headers=headers).status_code == 403


def test_of_many_who_register_a_name_at_once_one_gets_it(app):
    name = fresh()

    def register(_):
        return app.test_client().post(REGISTER, json={"username": name, "password": PASSWORD}).status_code

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(register, range(4)))
    assert said == [201, 409, 409, 409]
