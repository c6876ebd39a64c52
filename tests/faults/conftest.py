"""One deployment of two web servers that every test here may break; what is missing afterwards is started again."""

from collections.abc import Iterator

import pytest

from tests.clients.crowd import Crowd
from tests.deployment import Deployment, wait_for

STARTED_WITHIN = 30.0


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two web servers on one database and one Redis."""
    made = Deployment(
        tmp_path_factory.mktemp("faults"),
        webs=2,
        MESSAGE_RATE=1_000,
        MESSAGE_BURST=10_000,
        COMMAND_RATE=2_000,
        COMMAND_BURST=10_000,
    )
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def broken(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, to be broken in any part."""
    yield deployment
    for server in (deployment.postgres, deployment.redis):
        if not server.running:
            server.start()
    for web in deployment.webs:
        if web.process is None:
            web.start()
        wait_for(web.is_ready, STARTED_WITHIN, "a web server to be ready again")


@pytest.fixture
def crowd(broken: Deployment) -> Iterator[Crowd]:
    """The people of a test; their devices are closed at its end, before what it broke is started again."""
    with Crowd([web.url for web in broken.webs], broken.postgres.url) as made:
        yield made
