"""Noticing that a client hangs up while its request waits: no greenlet, only a watcher on its socket."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent import get_hub

__all__ = ["hang_up"]

READ = 1


@contextmanager
def hang_up(sock: Any, gone: Callable[[], None]) -> Iterator[None]:
    """Call `gone` from the event loop if the client of a waiting request closes its connection meanwhile.

    `sock` is gevent's; None (another web server than ours): nothing is noticed. A request sent behind the waiting one
    ends the watch, for the connection's end could only be seen by reading past it.
    """
    if sock is None:
        yield
        return
    watcher = get_hub().loop.io(sock.fileno(), READ)

    def look() -> None:
        watcher.stop()
        if _is_over(sock):
            gone()

    watcher.start(look)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()


def _is_over(sock: Any) -> bool:
    try:
        # The plain socket beneath: gevent's own `recv` would wait, whatever the flags say.
        return not sock._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
