"""Two web servers on one database and one Redis; the second reaches its Redis by a cable of its own."""

from collections.abc import Iterator

import pytest

from tests.clients.crowd import Crowd
from tests.deployment import Deployment, Web, wait_for
from tests.hosts.cable import Cable

STARTED_WITHIN = 30.0  # seconds
GRACE = 2  # seconds a lost client stays online: the default is 10, for which a test would have to wait


@pytest.fixture(scope="package")
def cable() -> Iterator[Cable]:
    """The way of the second web server to Redis, once `hosts` has laid it."""
    with Cable() as made:
        yield made


@pytest.fixture(scope="package")
def hosts(cable: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The two web servers: `webs[1]` is the one at the cable."""
    made = Deployment(
        tmp_path_factory.mktemp("hosts"),
        MESSAGE_RATE=1_000,
        MESSAGE_BURST=10_000,
        COMMAND_RATE=2_000,
        COMMAND_BURST=10_000,
        PRESENCE_GRACE=GRACE,
    )
    try:
        made.start()
        cable.end = str(made.redis.run / made.redis.SOCKET)
        apart = {**made.environ, "REDIS_URL": f"redis://127.0.0.1:{cable.port}"}
        made.webs.append(Web(apart, made.folder / "apart.log"))
        made.webs[1].start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def broken(hosts: Deployment, cable: Cable) -> Iterator[Deployment]:
    """The two web servers, to be broken in any part; what is missing afterwards is started again."""
    yield hosts
    cable.mend()
    cable.thaw()
    if not hosts.redis.running:
        hosts.redis.start()
    for web in hosts.webs:
        if web.process is None:
            web.start()
        wait_for(web.is_ready, STARTED_WITHIN, "a web server to be ready again")


@pytest.fixture
def crowd(broken: Deployment) -> Iterator[Crowd]:
    """The people of a test; their devices are closed at its end, before what it broke is started again."""
    with Crowd([web.url for web in broken.webs], broken.postgres.url) as made:
        yield made
