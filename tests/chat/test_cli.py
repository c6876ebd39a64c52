import pytest

from chat import cli
from tests.chat.door import Visitor, rest_app
from tests.chat.world import NUMBERS


@pytest.fixture
def app(engine, redis_url):
    made = rest_app(engine, redis_url)
    made.register_blueprint(cli.blueprint)
    return made


@pytest.fixture
def ann(app):
    return Visitor(app, f"Ann{next(NUMBERS)}")


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=arguments)


@pytest.mark.parametrize("by", ["name", "NAME", "id"])
def test_a_token_is_made_for_a_user_by_name_or_id(app, ann, by):
    user = {"name": ann.username, "NAME": ann.username.upper(), "id": ann.id}[by]
    made = run(app, "create-token", user, "--name", "kiosk")
    assert made.exit_code == 0
    ann.token = made.output.strip()
    assert ann.get("/users/me").json["id"] == ann.id
    current = next(login for login in ann.get("/auth/logins").json["logins"] if login["current"])
    assert (current["kind"], current["name"]) == ("token", "kiosk")


def test_no_token_is_made_for_nobody(app):
    made = run(app, "create-token", "nobody")
    assert made.exit_code != 0
    assert "There is no such user." in made.output


@pytest.fixture
def generation(world):
    """The generation of the tests' database, which it has again afterwards."""
    world.sql("INSERT INTO deployment (generation) VALUES ('first') ON CONFLICT DO NOTHING")
    before = world.rows("SELECT generation FROM deployment")[0][0]
    yield before
    world.sql("UPDATE deployment SET generation = :before", before=before)


def test_a_restored_database_gets_a_new_generation(app, world, generation):
    assert run(app, "new-generation").exit_code == 0
    after = world.rows("SELECT generation FROM deployment")[0][0]
    assert after != generation
    assert len(after) == 32


@pytest.mark.usefixtures("generation")
def test_the_logs_of_before_a_restore_are_forgotten_and_nothing_else(app):
    node = app.extensions["chat.node"]
    prefix = node.config["REDIS_PREFIX"]
    doomed = [f"{prefix}{name}" for name in ("log:c:1", "log:c:1:last", "log:u:2", "event:epoch")]
    node.redis.mset(dict.fromkeys([*doomed, f"{prefix}user:online:u1"], "1"))
    assert run(app, "new-generation").exit_code == 0
    assert node.redis.exists(*doomed) == 0
    assert node.redis.delete(f"{prefix}user:online:u1") == 1


def test_the_documents_are_written(app, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "DOCS", tmp_path)
    assert run(app, "docs").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"settings.md", "errors.md"}
