"""Web workers and whole web servers killed under load."""

import signal

from tests.clients.crowd import Crowd
from tests.deployment import Deployment
from tests.load import Load


def test_nothing_breaks_while_nothing_is_broken(crowd: Crowd) -> None:
    load = Load(crowd, seed=1).start()
    load.go_on(300)
    load.stop()
    crowd.check()
    assert not load.refusals


def test_a_killed_web_worker_under_load_loses_nothing(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=2).start()
    for web in (0, 1, 0):
        load.go_on(100)
        broken.webs[web].kill_workers()
    load.go_on(100)
    load.stop()
    crowd.check()


def test_a_killed_web_server_under_load_loses_nothing(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=3).start()
    load.go_on(100)
    broken.web.stop(signal.SIGKILL)
    load.go_on(100)
    broken.web.start()
    load.go_on(100)
    load.stop()
    crowd.check()
