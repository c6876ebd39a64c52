"""Web servers that the tests of a module share: one as it is, and one whose deadlines are short."""

from collections.abc import Iterator

import pytest

from tests.chat.webserver.probe import Gunicorn


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(tmp_path_factory.mktemp("server"))
    yield gunicorn
    gunicorn.stop()


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(tmp_path_factory.mktemp("hurried"), PROBE_HURRY="1")
    yield gunicorn
    gunicorn.stop()
