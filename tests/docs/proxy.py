"""nginx and haproxy on this machine, each with the very file of docs/deploy/ but for ports, paths and accounts."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.deployment import ROOT, free_port, wait_for
from tests.programs import PLACES

__all__ = ["PROXIES", "Certificate", "Proxy", "make_certificate"]

DEPLOY = ROOT / "docs" / "deploy"
UP_WITHIN = 10.0  # seconds
NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include {folder}/chat.conf;
}}
"""  # what the machine's own nginx.conf would say around the example


class Certificate(NamedTuple):
    """A certificate for an address that it signed itself, its key, and both in one file."""

    certificate: Path
    key: Path
    both: Path


def make_certificate(folder: Path, address: str = "127.0.0.1") -> Certificate:
    """Make one for an address with openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=chat", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    made.both.write_text(made.certificate.read_text() + made.key.read_text())
    return made


class Proxy:
    """One proxy in front of chat servers; `url` is its address with TLS, `plain_url` the one that leads there.

    `changes` are made in the example first: (text that must be there, text in its place).
    """

    name: str

    def __init__(
        self, folder: Path, certificate: Certificate, ports: Sequence[int], changes: Sequence[tuple[str, str]] = ()
    ):
        folder.mkdir(parents=True)
        self.folder, self.certificate = folder, certificate
        self._servers, self._changes = ports, changes
        self._tls, self._plain, self._unused = free_port(), free_port(), [free_port(), free_port()]
        self.url = f"https://127.0.0.1:{self._tls}"
        self.plain_url = f"http://127.0.0.1:{self._plain}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Proxy":
        """Start, and wait until it takes connections."""
        command = self._command()
        program = shutil.which(command[0], path=PLACES)
        assert program, f"{command[0]} is not installed"
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen([program, *command[1:]], stdout=log, stderr=log)
        wait_for(self._takes_connections, UP_WITHIN, f"{self.name}, see {self.folder}")
        return self

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(UP_WITHIN)

    def _takes_connections(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "output.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._tls)) == 0

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _example(self, file: str, changes: Sequence[tuple[str, str]]) -> str:
        """Return an example with its places changed. Fails when one of them is not there."""
        text = (DEPLOY / file).read_text()
        for old, new in [*self._changes, *changes]:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        return text


class Nginx(Proxy):
    """nginx with docs/deploy/nginx.conf."""

    name = "nginx"

    def _command(self) -> list[str]:
        place = "/etc/letsencrypt/live/chat.example.org"
        changes = [
            ("listen 443 ", f"listen 127.0.0.1:{self._tls} "),
            ("listen [::]:443 ", f"listen 127.0.0.1:{self._unused[0]} "),
            ("listen 80;", f"listen 127.0.0.1:{self._plain};"),
            ("listen [::]:80;", f"listen 127.0.0.1:{self._unused[1]};"),
            (f"{place}/fullchain.pem", str(self.certificate.certificate)),
            (f"{place}/privkey.pem", str(self.certificate.key)),
            (
                "server 127.0.0.1:5000 fail",
                " fail_timeout=1s;\n    ".join(f"server 127.0.0.1:{port}" for port in self._servers) + " fail",
            ),
        ]
        (self.folder / "chat.conf").write_text(self._example("nginx.conf", changes))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, user=user))
        return ["nginx", "-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]


class HAProxy(Proxy):
    """haproxy with docs/deploy/haproxy.cfg."""

    name = "haproxy"

    def _command(self) -> list[str]:
        changes = [
            ("bind :443 ", f"bind 127.0.0.1:{self._tls} "),
            ("bind :80\n", f"bind 127.0.0.1:{self._plain}\n"),
            ("/etc/haproxy/certs/chat.example.org.pem", str(self.certificate.both)),
            ("    log /dev/log local0\n    chroot /var/lib/haproxy\n    user haproxy\n    group haproxy\n", ""),
            ("maxconn 30000", "maxconn 1000"),
            ("server one 127.0.0.1:5000", "\n    ".join(f"server s{port} 127.0.0.1:{port}" for port in self._servers)),
        ]
        (self.folder / "haproxy.cfg").write_text(self._example("haproxy.cfg", changes))
        return ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")]


PROXIES: tuple[type[Proxy], ...] = (Nginx, HAProxy)
