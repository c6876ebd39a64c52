"""Two web servers on one database and one Redis; the second reaches its Redis by a cable of its own."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.clients.crowd import Crowd
from tests.clients.wire import Wire, opened
from tests.deployment import Deployment, Web, wait_for
from tests.hosts.cable import Cable

STARTED_WITHIN = 30.0  # seconds
LEASE = 35.0  # seconds of a session
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


@pytest.fixture(scope="package", autouse=True)
def silent(hosts: Deployment) -> Iterator["Future[float]"]:
    """Somebody whose line is dead without a word, at the first server: after how many seconds a peer is told.

    Begun before all tests here, for it takes a whole lease. The second server, not this one, is what they break.
    """
    with Crowd([hosts.url], hosts.postgres.url) as crowd:
        person, other = crowd.persons(2)
        person.send(other, "now we are peers")
        peer = crowd.device(other)
        wire = Wire.of(person)
        opened.remove(wire)  # else it would be closed after the first test
        begun = time.monotonic()

        took: Future[float] = Future()

        def look() -> None:
            peer.wait("presence", lambda data: data["userId"] == person.id and not data["online"], 2 * LEASE)
            took.set_result(time.monotonic() - begun)

        threading.Thread(target=look, daemon=True).start()
        yield took
        wire.sock.close()


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
