"""A WSGI application that shows what the web server does to a request; probe.py runs it under gunicorn."""

import gc
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from gevent import monkey

from chat import pace
from chat.webserver import handler

StartResponse = Callable[..., Any]
MARK = os.environ.get("PROBE_MARK", "/dev/null")

if "PROBE_HURRY" in os.environ:  # deadlines short enough for a test
    handler.FIRST_SECONDS = handler.IDLE_SECONDS = 1.0
    handler.HEAD_SECONDS = 0.5
    handler.STALL_SECONDS = 1.0
    pace.GRACE_SECONDS = 0.5


def _text(start: StartResponse, body: bytes, status: str = "200 OK", *headers: tuple[str, str]) -> list[bytes]:
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def hello(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    return _text(start, b"hello")


def echo(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    return _text(start, environ["wsgi.input"].read())


def show(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    plain = {key: value for key, value in environ.items() if isinstance(value, (str, bool, int))}
    return _text(start, json.dumps(plain).encode())


def crash(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    raise LookupError("a fault of ours")


def ignore(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    return _text(start, b"not read", "413 Content Too Large")


def unsized(environ: dict[str, Any], start: StartResponse) -> Iterator[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"one "
    yield b"two"


def large(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    return _text(start, b"x" * 3_000_000)


def slow(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    gevent.sleep(1.0)
    return _text(start, b"slow but whole")


def numbers(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    said = {
        "fds": len(os.listdir("/proc/self/fd")),
        "handlers": sum(isinstance(thing, handler.Handler) for thing in gc.get_objects()),
        "nodelay": environ["chat.socket"].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
        "patched": monkey.is_module_patched("socket"),
        "pid": os.getpid(),
    }
    return _text(start, json.dumps(said).encode())


def slow_body(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    try:
        while environ["wsgi.input"].read(4_096):
            pass
    except OSError as error:
        return _text(start, str(error).encode(), "400 Bad Request")
    return _text(start, b"whole")


def detach(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    """Take the connection as a WebSocket transport does, say what came early, then echo lines until `bye`."""
    raw, early = environ["chat.detach"]()
    gevent.spawn(_serve_detached, raw, early)
    return _text(start, b"this must not be sent")


def detach_by_hand(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    """The same without our function: flag, reader, socket."""
    environ["chat.detached"] = True
    environ["chat.rfile"].close()
    fd = environ["chat.socket"]._sock.detach()
    gevent.spawn(_serve_detached, fd, b"")
    return []


def detach_and_crash(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    raw, early = environ["chat.detach"]()
    gevent.spawn(_serve_detached, raw, early)
    raise LookupError("after the connection was taken")


def _serve_detached(raw: Any, early: bytes) -> None:
    fd = raw if isinstance(raw, int) else raw.detach()
    client = socket.socket(fileno=fd)
    client.settimeout(10)
    client.sendall(b"early:" + early + b"\n")
    while (data := client.recv(1000)) and b"bye" not in data:
        client.sendall(b"echo:" + data)
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def lend(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    """Take the connection as a poll does, and give it back once the server has closed its listener."""
    raw, _ = environ["chat.detach"]()
    gevent.spawn(_give_back, raw, environ["chat.server"], environ["chat.peer"])
    return []


def _give_back(raw: Any, server: Any, peer: Any) -> None:
    raw.sendall(b"lent")
    while not server.closed:
        gevent.sleep(0.005)
    server.resume(raw, peer)


VIEWS = (hello, echo, show, crash, ignore, unsized, large, slow, slow_body, numbers)
ROUTES = {f"/{view.__name__}": view for view in (*VIEWS, detach, detach_by_hand, detach_and_crash, lend)}


class App:
    """The WSGI callable; `extensions` is where the web server looks for a node to await and to drain."""

    generation = "known"

    class log:  # noqa: N801 (as the node has it)
        epoch = "known"

    def __init__(self) -> None:
        self.extensions = {"chat.node": self}

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        return ROUTES[environ["PATH_INFO"]](environ, start)

    def drain(self, timeout: float) -> None:
        with open(MARK, "a") as mark:
            mark.write(f"drained {timeout} {time.time()}\n")


app = App()
