"""Servers of this test run: one deployment with a private PostgreSQL and Redis from the wheels."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import programs
from tests.deployment import Deployment

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
def own_deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the test's own, to be killed in any part; the test starts it."""
    made = Deployment(tmp_path, MESSAGE_RATE=1_000, MESSAGE_BURST=10_000, COMMAND_RATE=2_000, COMMAND_BURST=10_000)
    try:
        yield made
    finally:
        made.stop()
