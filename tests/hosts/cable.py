"""A cable between one server process and its Redis or PostgreSQL: to be cut, or to hold all back, for it alone."""

import socket
import threading
from contextlib import suppress
from types import TracebackType

from tests.clients.lines import shut_down

__all__ = ["Cable"]

AT_ONCE = 65_536  # bytes moved at a time


class Cable:
    """Leads from `port` to `end`: the path of a unix socket, or (host, port). A context manager."""

    def __init__(self, end: str | tuple[str, int] = ""):
        self.end = end
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._whole, self._flowing = threading.Event(), threading.Event()
        self._whole.set()
        self._flowing.set()
        self._over = False
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End every connection, and each further one as soon as it is made."""
        self._whole.clear()
        self._drop()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole.set()

    def freeze(self) -> None:
        """Let no byte through in either direction; connections stay, and new ones can be made."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through that was held, in order."""
        self._flowing.set()

    def close(self) -> None:
        """End everything."""
        self._over = True
        self._flowing.set()
        shut_down(self._listener)
        self._listener.close()
        self._drop()
        self._thread.join()

    def __enter__(self) -> "Cable":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _drop(self) -> None:
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            shut_down(line)

    def _accept(self) -> None:
        while not self._over:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._whole.is_set():
                self._connect(near)
            else:
                near.close()

    def _connect(self, near: socket.socket) -> None:
        far = socket.socket(socket.AF_UNIX if isinstance(self.end, str) else socket.AF_INET)
        try:
            far.connect(self.end)
        except OSError:  # that server is away
            near.close()
            far.close()
            return
        with self._lock:
            self._lines |= {near, far}
        back = threading.Thread(target=self._move, args=(far, near), daemon=True)
        back.start()
        threading.Thread(target=self._carry, args=(near, far, back), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, back: threading.Thread) -> None:
        self._move(near, far)
        back.join()
        for line in (near, far):
            with self._lock:
                self._lines.discard(line)
            line.close()

    def _move(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(AT_ONCE):
                self._flowing.wait()
                target.sendall(data)
        shut_down(source)
        shut_down(target)
