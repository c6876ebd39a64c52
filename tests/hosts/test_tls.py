"""PostgreSQL and Redis reached over TLS by their URLs: everything works, and a stranger's certificate is refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import requests

from chat.launcher.child import Program
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis
from tests.clients.person import Person
from tests.deployment import ROOT, SECRET, Web, free_port, wait_for
from tests.docs.proxy import Certificate, make_certificate
from tests.programs import DEBIANS_POSTGRES, DEBIANS_REDIS

pytestmark = pytest.mark.tls
WHOLE_WITHIN = 60.0  # seconds until a worker and beat are at work, too
CHECKED = "sslmode=verify-full&sslrootcert="


class TlsPostgres(Postgres):
    """A private PostgreSQL that also listens on a port of the loopback, for TLS with a password alone."""

    def __init__(self, folder: Path, certificate: Certificate):
        super().__init__(folder, bin_dir=DEBIANS_POSTGRES.parent)  # the wheel's is built without TLS
        self.port, self._certificate = free_port(), certificate

    def plan(self) -> Program:
        """Return what to run, with the certificate where its account can read it and nobody else."""
        program = super().plan()
        for source, name in ((self._certificate.certificate, "server.crt"), (self._certificate.key, "server.key")):
            shutil.copy(source, self.data / name)
            (self.data / name).chmod(0o600)
            if self.account:
                os.chown(self.data / name, self.account.uid, self.account.gid)
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write("hostssl chat chat 127.0.0.1/32 scram-sha-256\n")
        settings = ("listen_addresses=127.0.0.1", f"port={self.port}", "ssl=on")
        return replace(program, argv=[*program.argv, *(part for one in settings for part in ("-c", one))])


class TlsRedis(Redis):
    """A private Redis that listens on a port of the loopback, for TLS alone."""

    def __init__(self, folder: Path, certificate: Certificate):
        super().__init__(folder, binary=DEBIANS_REDIS)
        self.port, self._certificate = free_port(), certificate

    def plan(self) -> Program:
        """Return what to run."""
        program = super().plan()
        whole, key = self._certificate.certificate, self._certificate.key
        files = {"cert": whole, "key": key, "ca-cert": whole}
        flags = [part for name, file in files.items() for part in (f"--tls-{name}-file", str(file))]
        return replace(program, argv=[*program.argv, "--tls-port", str(self.port), "--tls-auth-clients", "no", *flags])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate]:
    """The servers' certificate, and that of a stranger."""
    return make_certificate(tmp_path_factory.mktemp("ours")), make_certificate(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def environ(
    certificates: tuple[Certificate, Certificate], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of a server whose stores run with TLS."""
    folder = tmp_path_factory.mktemp("tls")
    postgres, redis = TlsPostgres(folder / "postgresql", certificates[0]), TlsRedis(folder / "redis", certificates[0])
    with postgres, redis:
        with psycopg.connect(host=str(postgres.run), port=postgres.port, user="postgres", dbname="chat") as admin:
            admin.execute("ALTER ROLE chat PASSWORD 'secret'")
        root = certificates[0].certificate
        yield {
            **os.environ,
            "DATABASE_URL": f"postgresql+psycopg://chat:secret@127.0.0.1:{postgres.port}/chat?{CHECKED}{root}",
            "REDIS_URL": f"rediss://127.0.0.1:{redis.port}/0?ssl_cert_reqs=required&ssl_ca_certs={root}",
            "JWT_SECRET": SECRET,
            "JWT_AUTO_CREATE": "1",
            "DATA_DIR": str(folder),
        }


def upgraded(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_a_whole_server_works_over_tls(environ: dict[str, str], tmp_path: Path) -> None:
    assert upgraded(environ).returncode == 0
    celery = [sys.executable, "-m", "celery", "-q", "-A", "tasks.worker"]
    log = (tmp_path / "celery.log").open("wb")
    started = [
        subprocess.Popen([*celery, *more], cwd=ROOT, env=environ, stdout=log, stderr=log)
        for more in (["worker", "--concurrency=1", "--loglevel=WARNING"], ["beat", "--pidfile=", "--loglevel=WARNING"])
    ]
    web = Web(environ, tmp_path / "web.log")
    try:
        web.start()
        ann = Person(web.url)
        sent = ann.send(ann, "over TLS")
        assert [entry["id"] for entry in ann.history(sent["conversationId"])] == [sent["id"]]
        told = wait_for(
            lambda: (said := requests.get(f"{web.url}/readyz", timeout=5).json())["status"] == "ok" and said,
            WHOLE_WITHIN, f"every part to be well, see {tmp_path}",
        )  # fmt: skip
        assert told["redis"] == told["tasks"] == "ok"
        assert 'chat_part_up{part="broker"} 1.0' in requests.get(f"{web.url}/metrics", timeout=10).text
        ann.close()
    finally:
        web.stop()
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)
        log.close()


def test_a_strangers_certificate_is_not_believed(
    environ: dict[str, str], certificates: tuple[Certificate, Certificate]
) -> None:
    ours, strangers = (str(one.certificate) for one in certificates)
    url = environ["DATABASE_URL"].replace(ours, strangers)
    done = upgraded({**environ, "DATABASE_URL": url})
    assert done.returncode != 0
    assert "certificate verify failed" in done.stderr
