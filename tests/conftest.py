"""Servers of this test run: one deployment with a private PostgreSQL and Redis from the wheels."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import programs
from tests.bucket import Bucket
from tests.clients.person import Person
from tests.clients.wire import opened
from tests.deployment import Deployment, Web

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Leave out, loudly, the tests whose programs this machine lacks."""
    config.pluginmanager.register(programs)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A running server that every test may use and none may harm."""
    made = Deployment(
        tmp_path_factory.mktemp("deployment"),
        MESSAGE_RATE=1_000,
        MESSAGE_BURST=10_000,
        COMMAND_RATE=2_000,
        COMMAND_BURST=10_000,
    )
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="session")
def database_url(deployment: Deployment) -> str:
    """A migrated database."""
    return deployment.postgres.url


@pytest.fixture(scope="session")
def redis_url(deployment: Deployment) -> str:
    """A Redis."""
    return deployment.redis.url


@pytest.fixture
def ann(deployment: Deployment) -> Person:
    """Somebody who is new to the shared server."""
    return Person(deployment.url)


@pytest.fixture
def bob(deployment: Deployment) -> Person:
    """Somebody else."""
    return Person(deployment.url)


@pytest.fixture
def own_deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the test's own, to be killed in any part; the test starts it."""
    made = Deployment(tmp_path, MESSAGE_RATE=1_000, MESSAGE_BURST=10_000, COMMAND_RATE=2_000, COMMAND_BURST=10_000)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Close the connections that a test left open."""
    yield
    while opened:
        opened.pop().sock.close()


@pytest.fixture(scope="module")
def servers(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Web]]:
    """Makes a server with these settings; the same settings give the same server.

    They end with their module: the database has connections for four at a time.
    """
    made: dict[tuple[tuple[str, Any], ...], Web] = {}

    def make(**settings: Any) -> Web:
        key = tuple(sorted(settings.items()))
        if key not in made:
            environ = {**deployment.environ, **{name: str(value) for name, value in settings.items()}}
            log: Path = tmp_path_factory.mktemp("server") / "web.log"
            made[key] = Web(environ, log)
            made[key].start()
        return made[key]

    yield make
    for web in made.values():
        web.stop()


@pytest.fixture(scope="module")
def hasty(servers: Callable[..., Web]) -> Web:
    """A server that waits for nobody long."""
    return servers(PING_SECONDS=1, AUTH_SECONDS=1, POLL_SECONDS=2)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """An S3 server with a bucket that every test may use and none may harm."""
    made = Bucket(tmp_path_factory.mktemp("bucket"))
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture(scope="session")
def frail_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Another one, to be killed and frozen; who does that starts it again, and it is empty then."""
    made = Bucket(tmp_path_factory.mktemp("bucket"))
    try:
        yield made.start()
    finally:
        made.kill()
