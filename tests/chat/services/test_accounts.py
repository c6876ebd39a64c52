import pytest

from chat.errors import ChatError
from chat.services import accounts
from tests.chat.world import NUMBERS


def fresh(name="Ann"):
    return f"{name}{next(NUMBERS)}"


def register(world, username, name="Ann"):
    return world.do(accounts.register, username, "hash", name)


def refusal(function, *arguments):
    with pytest.raises(ChatError) as caught:
        function(*arguments)
    return caught.value.code.name


def test_a_new_user_has_an_id_and_a_count_of_changes(world):
    made = register(world, fresh())
    assert made.public_id == f"u{made.user_id}"
    assert world.rows("SELECT change FROM user_heads WHERE user_id = :id", id=made.user_id) == [(0,)]


def test_what_looks_alike_is_taken(world):
    name = fresh("Straße ")
    made = register(world, name)
    for other in (name, name.upper(), name.lower(), name.replace("ß", "SS"), name.replace(" ", "\u3000")):
        assert refusal(register, world, other) == "name_taken"
        assert world.do(accounts.credentials, other).user_id == made.user_id


def test_credentials_of_nobody_are_none(world):
    assert world.do(accounts.credentials, fresh()) is None


@pytest.mark.parametrize("name", ["a\u200bb", "a\u202eb", "a\u00adb", "\ue000", "a\u2028b", "\ufdfa" * 64])
def test_names_that_could_pose_as_others_are_refused(world, name):
    assert refusal(register, world, name) == "invalid"


def test_an_id_that_a_host_application_took_is_passed_over(world):
    last = register(world, fresh()).user_id
    for number in range(last + 1, last + 4):
        world.sql(
            "INSERT INTO users (public_id, name) OVERRIDING SYSTEM VALUE VALUES (:id, 'host')", id=f"u{number + 3}"
        )
    made = register(world, fresh())
    assert world.rows("SELECT count(*) FROM users WHERE public_id = :id", id=made.public_id) == [(1,)]


def test_a_hash_can_be_replaced(world):
    name = fresh()
    made = register(world, name)
    world.do(accounts.keep_hash, made.user_id, "other")
    assert world.do(accounts.credentials, name).password_hash == "other"


def test_a_hosts_user_is_made_fit_to_be_shown():
    assert accounts.shown("h1", " Ann\n ", "https://x.example/a.png") == {
        "public_id": "h1", "name": "Ann", "name_key": "ann", "avatar": "https://x.example/a.png",
    }  # fmt: skip
    assert accounts.shown("h1", "\u202e\n", "javascript:alert(1)") == {
        "public_id": "h1", "name": "h1", "name_key": "h1", "avatar": None,
    }  # fmt: skip
