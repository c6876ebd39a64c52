"""A rolling restart under load, behind the proxies of docs/deploy/: nobody notices anything but a reconnection."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.clients import native
from tests.clients.crowd import CARRIERS, Crowd
from tests.clients.native import Client
from tests.clients.person import Lost, Person, Refused
from tests.deployment import Deployment, Web, wait_for
from tests.docs.proxy import PROXIES, Certificate, Proxy, make_certificate

pytestmark = pytest.mark.proxies
PATIENCE = 30.0  # seconds
EACH = 3  # devices on each carrier
TALKERS = 3  # people who say something over REST all the time
NUMBERS = {"restart": 1012, "going_away": 1001}  # the endings of those who are there, and of who is just coming
PAUSE = 0.02  # seconds between two calls of a talker


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """A certificate that every client of these tests trusts."""
    made = make_certificate(tmp_path_factory.mktemp("certificate"))
    with pytest.MonkeyPatch.context() as environ:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"):
            environ.setenv(name, str(made.certificate))
        yield made


@pytest.fixture(params=PROXIES, ids=lambda kind: kind.name)
def proxy(
    request: pytest.FixtureRequest,
    broken: Deployment,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """A proxy before both web servers."""
    folder = tmp_path_factory.mktemp(request.param.name) / "home"
    made: Proxy = request.param(folder, certificate, [web.port for web in broken.webs])
    try:
        yield made.start()
    finally:
        made.stop()


class Noticing(Client):
    """A device that counts the times that it could not come back at once."""

    def __init__(self, *arguments: Any, **more: Any):
        self.noticed: list[Exception] = []
        super().__init__(*arguments, **more)

    def _open(self) -> Any:
        try:
            return super()._open()
        except (Lost, Refused) as error:
            self.noticed.append(error)
            raise


class Talkers:
    """People who send and read over REST all the time, and bear no refusal. `said`: how much; `lost`: of it in vain."""

    def __init__(self, people: list[Person], group: str):
        self.said = self.lost = 0
        self._group, self._ending = group, threading.Event()
        # As browsers do, and RFC 9112 asks: a kept connection that is closed without a word is left for another.
        once_more = HTTPAdapter(max_retries=Retry(total=1, allowed_methods=None))
        for person in people:
            person._http.mount("https://", once_more)
        self._pool = ThreadPoolExecutor(len(people))
        self._talks = [self._pool.submit(self._talk, person) for person in people]

    def _talk(self, person: Person) -> None:
        while not self._ending.wait(PAUSE):
            self.said += 1
            message = (self._group, f"{self.said}")
            try:
                person.send(*message, localId=f"{person.id}-{self.said}")
            except Lost:  # nginx tries no POST again that it has sent on a connection which was closed at that moment
                self.lost += 1
                person.send(*message, localId=f"{person.id}-{self.said}")
            person.unread()

    def go_on(self, more: int) -> None:
        """Wait until so much more was said."""
        goal = self.said + more
        wait_for(lambda: self.said >= goal or self._failed(), PATIENCE, "the talkers to go on")
        self.stop() if self._failed() else None

    def stop(self) -> None:
        """End. Raises what one of them was refused."""
        self._ending.set()
        self._pool.shutdown()
        for talk in self._talks:
            talk.result()

    def _failed(self) -> bool:
        return any(talk.done() for talk in self._talks)


def test_nobody_notices_a_rolling_restart_but_by_a_reconnection(
    broken: Deployment, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.clients.crowd.Client", Noticing)
    monkeypatch.setattr(native, "PAUSE", 0.3)  # a client that is told `retryAfter` does not come back at once
    with Crowd([proxy.url], broken.postgres.url) as crowd:
        people = crowd.persons(TALKERS)
        group = people[0].group(*people[1:])
        devices = [crowd.device(people[place % TALKERS], CARRIERS[place // EACH]) for place in range(3 * EACH)]
        talkers = Talkers(people, group)
        for web in broken.webs:
            talkers.go_on(30)
            web.stop()
            talkers.go_on(30)
            web.start()
            wait_for(lambda: opened(web) > 0, PATIENCE, "the proxy to send somebody there")  # noqa: B023
        talkers.go_on(30)
        talkers.stop()
        assert talkers.lost <= len(broken.webs)
        crowd.check()
        for device in devices:
            assert not device.noticed, f"{device.carrier}: {device.noticed}"  # type: ignore[attr-defined]
            told = [bye["code"] for bye in device.events("bye")]
            assert set(told) <= NUMBERS.keys()
            if device.carrier == "websocket":
                assert device.close_codes == [NUMBERS[code] for code in told]
            elif device.carrier == "stream":
                assert len(device.close_codes) == len(told)
            else:  # a GET on a kept connection that was closed at that moment is asked again, by proxies and browsers
                assert len(device.close_codes) <= len(broken.webs), "polls were not answered"
        assert sum(len(device.events("bye")) for device in devices) >= len(devices)


def opened(web: Web) -> float:
    """Return how many sessions a server has opened in all its workers."""
    text = requests.get(web.url + "/metrics", timeout=PATIENCE).text
    return sum(float(value) for value in re.findall(r"^chat_sessions_opened\S* (\S+)", text, re.MULTILINE))
