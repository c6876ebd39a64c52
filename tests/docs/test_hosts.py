"""docs/deployment.md, "Several hosts": its lines are run, each on the host it is for; hosts are network namespaces."""

import configparser
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from chat.launcher.child import Program
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis
from tests.clients.crowd import CARRIERS, Crowd
from tests.deployment import ROOT, wait_for
from tests.docs.network import Network
from tests.docs.proxy import DEPLOY, make_certificate

DOCUMENT = ROOT / "docs" / "deployment.md"
WEBS = ("web1", "web2")
CLIENT = "10.77.0.100"
UP_WITHIN = 60.0  # seconds for a host to be at work
BACK_WITHIN = 30.0  # seconds for clients of a host that is cut off to be back at another one
OWN = {"ENVIRONMENT": "production", "JWT_AUTO_CREATE": "1", "LOG_LEVEL": "warning"}
SECRET = "one-secret-for-all-hosts-of-32-bytes"
DEBIANS_REDIS_CONF = (
    "bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\n"  # of what its server reads, what matters here
)
OF_THE_TEST = ("--unixsocket", "--unixsocketperm", "--dir", "--loglevel")  # flags; all else is the file's


def chapter() -> str:
    """Return the chapter."""
    return DOCUMENT.read_text().split("\n## Several hosts\n")[1].split("\n## ")[0]


def hosts() -> dict[str, str]:
    """Return the table of hosts: names and addresses."""
    found: dict[str, str] = {}
    for names, addresses in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([\d., ]+) \|", chapter(), re.MULTILINE):
        found |= dict(zip(re.findall(r"\w+", names), addresses.split(", "), strict=True))
    return found


def blocks(host: str) -> list[str]:
    """Return what a host's operator types."""
    found = re.findall(r"^```sh ([\w ]+)\n(.*?)^```$", chapter(), re.MULTILINE | re.DOTALL)
    return [block for names, block in found if host in names.split()]


class Hosts:
    """The hosts of the chapter, each with a folder that stands for its `/etc`."""

    def __init__(self, folder: Path, network: Network):
        self.folder, self.network = folder, network
        self.running: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.database_url = ""  # by a socket, from everywhere on this machine

    def path(self, host: str, path: str) -> Path:
        """Return where a path of a host is on this machine."""
        return self.folder / host / path.lstrip("/")

    def type_in(self, host: str) -> None:
        """Run the host's lines on it."""
        for file in ("/etc/chat", "/etc/redis", "/etc/haproxy", "/etc/postgresql/15/main/conf.d"):
            self.path(host, file).mkdir(parents=True, exist_ok=True)
        self.path(host, "/etc/redis/redis.conf").write_text(DEBIANS_REDIS_CONF)
        for block in blocks(host):
            here = re.sub(r"(?<=\s)/etc/", f"{self.folder / host}/etc/", block)
            with self.network.on(host):
                subprocess.run(["bash", "-euc", here], cwd=ROOT, check=True, capture_output=True)

    def environ(self, host: str) -> dict[str, str]:
        """Return the environment of the host's units."""
        lines = self.path(host, "/etc/chat/chat.env").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return {**os.environ, **given, **OWN, "DATA_DIR": str(self.path(host, "/var/lib/chat"))}

    def start(self, host: str, *command: str, environ: Mapping[str, str] | None = None) -> None:
        """Start a program on a host."""
        with self.network.on(host), (self.folder / f"{host}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        self.running.setdefault(host, []).append(process)

    def start_unit(self, host: str, unit: str) -> None:
        """Do what systemd does with a unit of docs/deploy/."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string((DEPLOY / unit).read_text().replace("/opt/chat/.venv/bin", str(Path(sys.executable).parent)))
        environ = self.environ(host)
        Path(environ["DATA_DIR"]).mkdir(parents=True, exist_ok=True)
        before = parser["Service"].get("ExecStartPre")
        if before:
            with self.network.on(host):
                subprocess.run(shlex.split(before), cwd=ROOT, env=environ, check=True, capture_output=True)
        self.start(host, *shlex.split(parser["Service"]["ExecStart"]), environ=environ)

    def stop(self) -> None:
        """End everything."""
        for process in (process for processes in self.running.values() for process in processes):
            process.terminate()
        for process in (process for processes in self.running.values() for process in processes):
            process.wait(20)


class HostPostgres(Postgres):
    """PostgreSQL with the settings and the access of the database's host."""

    def __init__(self, folder: Path, at: Hosts):
        super().__init__(folder)
        self._at = at

    def plan(self) -> Program:
        """Return what to run."""
        program = super().plan()
        etc = self._at.path("database", "/etc/postgresql/15/main")
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write((etc / "pg_hba.conf").read_text())
        lines = re.findall(r"^(\w+) = '?([^'\n]*)'?$", (etc / "conf.d/chat.conf").read_text(), re.MULTILINE)
        flags = [part for name, value in lines for part in ("-c", f"{name}={value}")]
        return replace(program, argv=[*program.argv, *flags])


class HostRedis(Redis):
    """Redis with the settings of its host."""

    def __init__(self, folder: Path, at: Hosts):
        super().__init__(folder)
        self._at = at

    def plan(self) -> Program:
        """Return what to run: what Debian's unit starts, with files of the test's own."""
        program, file = super().plan(), self._at.path("redis", "/etc/redis/redis.conf")
        server, *flags = program.argv
        kept = [part for name in OF_THE_TEST for part in (name, flags[flags.index(name) + 1])]
        return replace(program, argv=[server, str(file), *kept])

    def is_ready(self) -> bool:
        """Tell whether it takes connections: without the password it answers nothing."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.run / self.SOCKET)) == 0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hosts]:
    """The whole site, at work."""
    with ExitStack() as stack:
        network = stack.enter_context(Network({**hosts(), "client": CLIENT}))
        made = Hosts(tmp_path, network)
        for host in hosts():
            made.type_in(host)
        with network.on("database"):
            postgres = stack.enter_context(HostPostgres(tmp_path / "postgresql", made))
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute("ALTER ROLE chat PASSWORD 'change-me'")
        with network.on("redis"):
            stack.enter_context(HostRedis(tmp_path / "store", made))
        stack.callback(made.stop)  # before the stores
        for host in WEBS:
            made.start_unit(host, "chat-web.service")
        made.start_unit("worker", "chat-worker.service")
        made.start_unit("worker", "chat-beat.service")
        made.database_url = postgres.url
        yield made


def start_proxy(site: Hosts) -> str:
    """Start haproxy on its host; return the certificate that clients trust."""
    certificate = make_certificate(site.folder / "etc", hosts()["proxy"])
    config = site.path("proxy", "/etc/haproxy/haproxy.cfg")
    text = config.read_text().replace("/etc/haproxy/certs/chat.example.org.pem", str(certificate.both))
    account = "    log /dev/log local0\n    chroot /var/lib/haproxy\n    user haproxy\n    group haproxy\n"
    assert account in text
    config.write_text(text.replace(account, "").replace("maxconn 30000", "maxconn 1000"))
    site.start("proxy", "/usr/sbin/haproxy", "-db", "-f", str(config))
    return str(certificate.certificate)


def look_at_redis(site: Hosts) -> None:
    """See that Redis has the chapter's settings: nobody comes in without the password, and its memory is bounded."""
    with site.network.on("web1"):
        with redis.Redis(hosts()["redis"]) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis(hosts()["redis"], password="change-me") as ours:
            found = ours.config_get("maxmemory") | ours.config_get("maxmemory-policy")
    assert found == {"maxmemory": str(1 << 30), "maxmemory-policy": "volatile-lru"}


def told(site: Hosts, host: str) -> dict[str, str]:
    """Return what a web host says of itself, asked on that host."""
    with site.network.on(host):
        try:
            answer = requests.get(f"http://{hosts()[host]}:5000/readyz", timeout=5)
        except requests.RequestException:
            return {}
        return dict(answer.json())


def opened(site: Hosts, host: str) -> float:
    """Return how many sessions a web host has opened."""
    with site.network.on(host):
        text = requests.get(f"http://{hosts()[host]}:5000/metrics", timeout=10).text
    return sum(float(value) for value in re.findall(r"^chat_sessions_opened\S* (\S+)", text, re.MULTILINE))


@pytest.mark.namespaces
def test_six_hosts_are_one_server_and_one_that_is_cut_off_is_not_missed(
    site: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"):
        monkeypatch.setenv(name, str(site.folder / "etc" / "certificate.pem"))
    monkeypatch.setattr("tests.clients.person.SECRET", SECRET)
    look_at_redis(site)
    for host in WEBS:
        wait_for(lambda host=host: told(site, host).get("status") == "ok", UP_WITHIN, f"{host}, see {site.folder}")
    start_proxy(site)  # it takes every host for well at first; one it found away gets nobody for seconds
    with site.network.on("client"), Crowd([f"https://{hosts()['proxy']}"], site.database_url) as crowd:
        wait_for(lambda: _answers(crowd.urls[0]), UP_WITHIN, "the proxy")
        ann, bob = crowd.persons(2)
        group = ann.group(bob)
        devices = [crowd.device(person, carrier) for carrier in CARRIERS for person in (ann, bob) for _ in range(2)]
        for device in devices:
            device.wait_seq(group, device.send(group, f"through {device.carrier}")["seq"])
        crowd.check()
        assert all(opened(site, host) > 0 for host in WEBS)

        site.network.cut_off("web2")
        last = wait_for(lambda: _said(ann.send, group, "one host is cut off"), BACK_WITHIN, "the other host to answer")
        for device in devices:
            device.wait_seq(group, last["seq"], BACK_WITHIN)
        crowd.check(BACK_WITHIN)

        site.network.bring_back("web2")
        wait_for(lambda: told(site, "web2").get("status") == "ok", UP_WITHIN, f"web2 to be back, see {site.folder}")
        last = ann.send(group, "everybody is here again")
        for device in devices:
            device.wait_seq(group, last["seq"], BACK_WITHIN)
        crowd.check()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.RequestException:
        return False


def _said(send: object, *arguments: str) -> object:
    """Return what was sent, or nothing while the proxy still believes in the host that is gone."""
    try:
        return send(*arguments, localId="once")  # type: ignore[operator]
    except Exception:  # noqa: BLE001 (a refusal or a lost line; whatever else there is shows in the end)
        return None
