"""Hosts for tests: Linux network namespaces at one switch, which is a namespace itself: nothing is outside of them.

Whatever is started inside `network.on(host)`, a process or a thread, is on that host: a thread inherits the namespace
of the one that starts it.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Network"]

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """Hosts by name, with their addresses in 10.77.0.0/24. A context manager: built inside, torn down at the end."""

    def __init__(self, hosts: Mapping[str, str]):
        self.hosts = dict(hosts)
        self._mark = f"chat{os.getpid()}"

    def __enter__(self) -> "Network":
        try:
            _ip("netns", "add", self._mark)
            self._in(self._mark, "link", "add", "switch", "type", "bridge")
            self._in(self._mark, "link", "set", "switch", "up")
            for place, (host, address) in enumerate(self.hosts.items()):
                self._add(host, address, f"port{place}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self._mark, *map(self._name, self.hosts)):
            if Path("/run/netns", name).exists():
                _ip("netns", "del", name)

    @contextmanager
    def on(self, host: str) -> Iterator[None]:
        """Let this thread be on a host, with all that it starts meanwhile."""
        with Path("/proc/thread-self/ns/net").open() as before:
            _enter(Path("/run/netns", self._name(host)))
            try:
                yield
            finally:
                _enter(Path(f"/proc/self/fd/{before.fileno()}"))

    def cut_off(self, host: str) -> None:
        """Take a host's network away."""
        self._in(self._name(host), "link", "set", "eth0", "down")

    def bring_back(self, host: str) -> None:
        """Give it back."""
        self._in(self._name(host), "link", "set", "eth0", "up")

    def _add(self, host: str, address: str, port: str) -> None:
        name = self._name(host)
        _ip("netns", "add", name)
        self._in(self._mark, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        self._in(self._mark, "link", "set", port, "master", "switch", "up")
        self._in(name, "link", "set", "lo", "up")
        self._in(name, "address", "add", f"{address}/24", "dev", "eth0")
        self._in(name, "link", "set", "eth0", "up")

    def _name(self, host: str) -> str:
        return f"{self._mark}-{host}"

    @staticmethod
    def _in(name: str, *command: str) -> None:
        _ip("-n", name, *command)


def _ip(*command: str) -> None:
    environ = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    subprocess.run(["ip", *command], check=True, capture_output=True, text=True, env=environ)


def _enter(place: Path) -> None:
    with place.open() as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"no way to {place}")
