import pytest

from chat.errors import ChatError
from chat.services import accounts, users
from chat.text import search_key
from tests.chat.world import NUMBERS


@pytest.fixture
def tag():
    """Start of every name of this test, so that others do not come up."""
    return f"tag{next(NUMBERS)}x"


def person(world, name, username=None):
    return world.do(accounts.register, username or f"user{next(NUMBERS)}", "hash", name)


def found(world, query, cursor="", limit=50):
    rows, cursor = world.do(users.search, query, cursor, limit)
    return [row.name for row in rows], cursor


def test_users_are_found_by_the_start_of_name_or_user_name(world, tag):
    person(world, f"{tag} Ann")
    person(world, "Zoe", username=f"{tag}zoe")
    assert found(world, tag)[0] == [f"{tag} Ann", "Zoe"]
    assert found(world, f"{tag} a".upper())[0] == [f"{tag} Ann"]
    assert found(world, "nn")[0] == []


def test_signs_of_patterns_mean_themselves(world, tag):
    person(world, f"{tag}100%_\\")
    person(world, f"{tag}100x")
    assert found(world, f"{tag}100%")[0] == [f"{tag}100%_\\"]
    assert found(world, f"{tag}100%_\\")[0] == [f"{tag}100%_\\"]
    assert found(world, f"{tag}_")[0] == []


def test_chinese_names_are_found(world):
    person(world, "李雷明")
    assert "李雷明" in found(world, "李雷")[0]


def test_who_is_not_listed_is_not_found(world, tag):
    ann = person(world, f"{tag} Ann")
    world.do(users.change, ann.user_id, {"listed": False})
    assert found(world, tag)[0] == []
    assert world.do(users.the_user, ann.public_id).name == f"{tag} Ann"


def test_pages_follow_each_other_without_hole_or_double(world, tag):
    names = sorted(f"{tag} {number:02}" for number in range(7))
    for name in [*names, names[3]]:
        person(world, name)
    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = found(world, tag, cursor, limit=3)
        assert len(page) <= 3
        seen += page
    assert seen == sorted([*names, names[3]])


def test_a_search_uses_an_index(world):
    for number in range(3_000):
        world.sql(
            "INSERT INTO users (public_id, name, name_key) VALUES (:id, 'x', :key)",
            id=f"many{next(NUMBERS)}",
            key=f"many{number}",
        )
    world.sql("ANALYZE users")
    plan = "\n".join(
        row[0]
        for row in world.rows(
            "EXPLAIN SELECT * FROM users WHERE listed AND (name_key LIKE 'many77%' OR username_key LIKE 'many77%')"
            " ORDER BY name_key, id LIMIT 51"
        )
    )
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMl0"])
def test_a_foreign_cursor_is_invalid(world, cursor):
    with pytest.raises(ChatError):
        found(world, "a", cursor)


def test_a_changed_name_is_found_anew(world, tag):
    ann = person(world, "Ann")
    row = world.do(users.change, ann.user_id, {"name": f"{tag.upper()} Éa"})
    assert row.name_key == search_key(f"{tag} Éa", 200)
    assert found(world, f"{tag} e\u0301")[0] == [f"{tag.upper()} Éa"]


def test_no_change_changes_nothing(world):
    ann = person(world, "Ann")
    assert world.do(users.change, ann.user_id, {}).name == "Ann"


def test_users_are_read_by_ids_and_nobody_is_left_out(world):
    ann, bob = person(world, "Ann"), person(world, "Bob")
    rows = world.do(users.by_ids, [ann.public_id, "nobody", bob.public_id])
    assert {row.public_id for row in rows} == {ann.public_id, bob.public_id}


def test_an_unknown_user_is_told_so(world):
    with pytest.raises(ChatError) as refusal:
        world.do(users.the_user, "nobody")
    assert refusal.value.code.name == "unknown_user"


def test_presence_is_shown_to_others_only_as_the_user_wants(world):
    ann = person(world, "Ann")
    world.sql("UPDATE users SET last_seen_at = '2026-01-02T03:04:05Z' WHERE id = :id", id=ann.user_id)
    shown = world.do(users.the_user, ann.public_id)
    assert users.person_data(shown, online=True)["lastSeenAt"] == "2026-01-02T03:04:05.000000Z"
    hidden = world.do(users.change, ann.user_id, {"shows_presence": False})
    data = users.person_data(hidden, online=True)
    assert (data["online"], data["lastSeenAt"]) == (False, None)
    assert users.own_data(hidden, online=True)["online"] is True


def test_others_see_no_settings_and_no_secret(world):
    ann = person(world, "Ann")
    data = users.person_data(world.do(users.the_user, ann.public_id), online=False)
    assert set(data) == {"id", "username", "name", "avatar", "statusText", "online", "lastSeenAt"}
