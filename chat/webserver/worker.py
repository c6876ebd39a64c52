"""The web server's worker: gunicorn's gevent worker with a server of ours, made for connections that stay.

gunicorn imports it before it forks, so importing it may open no socket and no thread.
"""

import socket
import time
from typing import Any

import gevent
import gevent.socket
from gevent import pywsgi
from gevent.event import Event
from gevent.pool import Pool
from gunicorn.workers.ggevent import GeventWorker

from chat.webserver.descriptors import DESCRIPTOR_RESERVE, usable_descriptors
from chat.webserver.handler import LAST_SECONDS, Handler

__all__ = ["Server", "Worker"]

# A Redis that is there is reached in this time; before that, nobody could be told who comes and goes on other workers.
HEARD_SECONDS = 1.0
READY_SECONDS = 5.0  # in which a database is reached that is there; without it /readyz has to say so
BACKLOG = 2_048  # connections taken at most when the listener closes: as many as wait for it
UNSENT_BYTES = 131_072  # in the kernel for one client: a slow one shows after this much, not after 4 MB


class _Resumed(gevent.socket.socket):  # type: ignore[misc]
    """A connection of which something was read already."""

    early = b""

    def recv_into(self, buffer: Any, *more: Any) -> int:
        if not self.early:
            return super().recv_into(buffer, *more)  # type: ignore[no-any-return]
        part = self.early[: len(buffer)]
        self.early = self.early[len(part) :]
        buffer[: len(part)] = part
        return len(part)


class Server(pywsgi.WSGIServer):  # type: ignore[misc]
    """The listener of one worker: Nagle off, descriptors bounded, idle connections known, so that draining is quick."""

    handler_class = Handler

    def __init__(self, listener: Any, application: Any, *, environ: dict[str, Any] | None = None, **options: Any):
        self.idle: set[Handler] = set()
        self.draining = False
        # A name is needed here, or pywsgi asks the DNS for one, which may take its time.
        environ = {"SERVER_NAME": "localhost", **(environ or {})}
        super().__init__(listener, application, environ=environ, log=None, **options)
        self.descriptor_bound = usable_descriptors() + DESCRIPTOR_RESERVE // 2

    def init_socket(self) -> None:
        """Take or open the listener. Connections inherit: no Nagle (42 ms an answer), a bound on unsent bytes."""
        super().init_socket()
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def do_read(self) -> Any:
        """Accept a connection, and refuse it if descriptors run out: the kernel gives the lowest free number."""
        accepted = super().do_read()
        if not accepted or accepted[0].fileno() < self.descriptor_bound:
            return accepted
        self._refuse(accepted[0])
        return None

    def resume(self, raw: socket.socket, address: Any, early: bytes = b"") -> None:
        """Serve a connection on that was taken away with `detach`; `early`: what was read of the next request."""
        client = _Resumed(raw.family, raw.type, raw.proto, fileno=raw.detach())
        client.early = early
        gevent.spawn(self.do_handle, client, address)

    @staticmethod
    def _refuse(client: Any) -> None:
        body = b'{"error":{"code":"overloaded","message":"too many connections","retryAfter":5}}'
        head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
        try:
            client._sock.send(b"%sConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body))
        except OSError:
            return
        finally:
            client.close()

    def drain(self) -> None:
        """Take no more connections, and let the next answer of each be its last.

        Whoever has connected already is still served: closing the listener would reset them.
        """
        self.draining = True
        for _ in range(BACKLOG):
            accepted = None if self.full() else self.do_read()
            if not accepted:
                break
            self.do_handle(*accepted)
        self.close()

    def close(self) -> None:
        """Close the listener. Connections that were taken away and are given back afterwards are served on."""
        kept: dict[str, Any] = {name: self.__dict__[name] for name in ("_handle", "_spawn") if name in self.__dict__}
        super().close()
        self.__dict__.update(kept)

    def end_idle(self) -> None:
        """End the connections that wait for another request."""
        for handler in list(self.idle):
            try:
                handler.socket.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # the client was faster

    @property
    def busy(self) -> int:
        """Connections that are still being served."""
        return len(self.pool)


class Worker(GeventWorker):  # type: ignore[misc]
    """gunicorn's gevent worker with our server. It stops when told to, once the application's sessions know."""

    def run(self) -> None:
        """Serve until told to stop (or until the master is gone), then drain."""
        self._told = Event()
        self._await_node()
        servers = [self._serve(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            self._told.wait(1.0)
        self._drain(servers)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Note that the worker shall end (SIGTERM); wakes the loop from inside a signal handler."""
        super().handle_exit(sig, frame)
        if hasattr(self, "_told"):
            gevent.get_hub().loop.run_callback_threadsafe(self._told.set)

    def _await_node(self) -> None:
        """Let who connects wait until the application knows its database and hears the others; but not for long."""
        begun = time.monotonic()
        while self.alive and time.monotonic() - begun < self._patience():
            self.notify()
            self._told.wait(0.02)

    def _patience(self) -> float:
        """Return for how many seconds in all it is worth waiting."""
        if self._node is None:
            return 0.0
        hears = self._node.log.epoch is not None
        return READY_SECONDS if not self._node.generation else 0.0 if hears else HEARD_SECONDS

    @property
    def _node(self) -> Any:
        return getattr(self.wsgi, "extensions", {}).get("chat.node")

    def _serve(self, listener: Any) -> Server:
        listener.setblocking(1)
        environ = {"wsgi.multithread": True, "wsgi.multiprocess": self.cfg.workers > 1}
        server = Server(listener, self.wsgi, spawn=Pool(self.worker_connections), environ=environ)
        server.start()
        return server

    def _drain(self, servers: list[Server]) -> None:
        """Close the door first: a proxy that is refused turns to another server at once.

        Told to go while the door was open, everybody would come back to the server with the fewest clients: this one.
        """
        deadline = time.monotonic() + self.cfg.graceful_timeout
        for server in servers:
            server.drain()
        self._await_last_requests(servers)
        if self._node is not None:
            try:
                self._node.drain(timeout=self.cfg.graceful_timeout / 2)
            except Exception:  # a fault there must not keep the worker from ending
                self.log.exception("The sessions could not be drained")
        while any(server.busy for server in servers) and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(0.02)
        for server in servers:
            server.stop(timeout=0)

    def _await_last_requests(self, servers: list[Server]) -> None:
        """End idle connections a moment later: a proxy that uses one just now would get no answer, and give up.

        What a proxy uses often is used within that moment, and told with the answer that it was the last one.
        """
        deadline = time.monotonic() + LAST_SECONDS
        gevent.sleep(0)  # those who connected last
        while any(server.idle for server in servers) and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(0.02)
        for server in servers:
            server.end_idle()
