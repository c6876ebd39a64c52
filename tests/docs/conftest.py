"""The proxies of docs/deploy/ in front of two web servers, one with two workers, that believe one proxy."""

from collections.abc import Iterator

import pytest

from tests.clients.crowd import Crowd
from tests.deployment import Deployment, Web
from tests.docs.proxy import PROXIES, Certificate, Proxy, make_certificate

TRIES = 3  # to log in, a minute and address
BEHIND = {"TRUSTED_PROXIES": "1", "ENVIRONMENT": "production", "LOGIN_PER_ADDRESS": str(TRIES)}


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """A certificate that every client of these tests trusts."""
    made = make_certificate(tmp_path_factory.mktemp("certificate"))
    with pytest.MonkeyPatch.context() as environ:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"):
            environ.setenv(name, str(made.certificate))
        yield made


@pytest.fixture(scope="package")
def webs(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Web]]:
    """Two web servers on the deployment's stores, as they run behind a proxy."""
    folder = tmp_path_factory.mktemp("webs")
    made = [Web({**deployment.environ, **BEHIND, "WORKERS": workers}, folder / f"{workers}.log") for workers in "12"]
    try:
        for web in made:
            web.start()
        yield made
    finally:
        for web in made:
            web.stop()


@pytest.fixture(scope="package", params=PROXIES, ids=lambda kind: kind.name)
def proxy(
    request: pytest.FixtureRequest,
    webs: list[Web],
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """Each of the proxies, with the example's settings."""
    folder = tmp_path_factory.mktemp(request.param.name) / "home"
    made = request.param(folder, certificate, [web.port for web in webs])
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def crowd(proxy: Proxy, deployment: Deployment) -> Iterator[Crowd]:
    """People who come through the proxy."""
    with Crowd([proxy.url], deployment.postgres.url) as made:
        yield made
