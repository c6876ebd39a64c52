"""The programs of the machine that some tests need beside Python: a browser, node, the proxies, RabbitMQ, networks.

Where one is missing, the tests that need it are left out, and the run says so loudly, before its first test and at its
end. Where `CI=true` nothing is left out: these tests fail then, with a sentence that says what to install.
"""

import os
import shutil
from pathlib import Path

import pytest

__all__ = [
    "CHROMIUM",
    "pytest_collection_finish", "pytest_collection_modifyitems", "pytest_runtest_setup", "pytest_terminal_summary",
]  # fmt: skip

# Of several PostgreSQLs the newest; where there is none, the oldest that would do.
DEBIANS_POSTGRES = max(
    Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=Path("/usr/lib/postgresql/15/bin/postgres")
)
DEBIANS_REDIS = Path("/usr/bin/redis-server")
# Without windows Chromium is the same engine and takes a third of the processor's time.
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
NEEDED = {  # what tests of a marker need: (program, Debian's package of it) each
    "browser": [(CHROMIUM, "chromium")],
    "node": [("node", "nodejs")],
    "proxies": [("nginx", "nginx"), ("haproxy", "haproxy"), ("openssl", "openssl")],
    "units": [("systemd-analyze", "systemd")],
    "rabbit": [("rabbitmq-server", "rabbitmq-server")],
    "tls": [(str(DEBIANS_POSTGRES), "postgresql"), (str(DEBIANS_REDIS), "redis-server"), ("openssl", "openssl")],
    "namespaces": [("ip", "iproute2"), ("haproxy", "haproxy"), ("openssl", "openssl")],
}
OF_FIXTURES = {"browser": "browser"}  # fixtures whose tests have a marker without saying so
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # where Debian keeps its servers
LEFT_OUT = pytest.StashKey[dict[str, int]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose programs are missing, unless this is CI."""
    for item in items:
        for fixture in set(getattr(item, "fixturenames", ())) & set(OF_FIXTURES):
            item.add_marker(OF_FIXTURES[fixture])
    missing = [] if _is_ci() else [item for item in items if _lack(item)]
    config.stash[LEFT_OUT] = {}
    for item in missing:
        lack = _lack(item)
        config.stash[LEFT_OUT][lack] = config.stash[LEFT_OUT].get(lack, 0) + 1
    if missing:
        config.hook.pytest_deselected(items=missing)
        items[:] = [item for item in items if item not in set(missing)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say before the first test what is left out; also where `-q` hides the header."""
    _say(session.config)


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Say it again where nobody overlooks it."""
    _say(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test of CI whose programs are missing, before its fixtures stumble over that."""
    lack = _lack(item)
    if lack:
        pytest.fail(f"This test needs {lack}", pytrace=False)


def _lack(item: pytest.Item) -> str:
    """Return the sentence's end that says what a test misses; empty: nothing."""
    if os.geteuid() and any(item.iter_markers("namespaces")):
        return "to be root, for it builds networks"
    wanted = [need for marker in item.iter_markers() for need in NEEDED.get(marker.name, ())]
    lacking = [(program, package) for program, package in wanted if shutil.which(program, path=PLACES) is None]
    if not lacking:
        return ""
    programs, packages = zip(*lacking, strict=True)
    return f"{', '.join(programs)}, not found here: apt-get install {' '.join(packages)}"


def _is_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


def _say(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for lack, count in config.stash.get(LEFT_OUT, {}).items():
        if reporter is not None:
            reporter.write_line(f"LEFT OUT: {count} tests that need {lack}", yellow=True, bold=True)
