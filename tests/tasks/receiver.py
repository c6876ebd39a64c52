"""What an operator runs to be told of pushes: a small web server that says what came."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret of the operator's, long enough"


class Receiver(ThreadingHTTPServer):
    """What the operator runs. `taken`: (headers, body).

    `answers`: the status of each answer to come, then 204. `refused`: what a note holds that is not taken at first.
    While `open` is not set no answer comes.
    """

    request_queue_size = 64
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.open = threading.Event()
        self.open.set()
        self.taken: list[tuple[Any, bytes]] = []
        self.answers: list[int] = []
        self.refused = b""
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def status(self, body: bytes) -> int:
        if self.refused and self.refused in body:
            self.refused = b""
            return 503
        return self.answers.pop(0) if self.answers else 204

    def notes(self, user: str) -> list[dict[str, Any]]:
        """Return what came for a user."""
        found = [json.loads(body) for _, body in self.taken]
        return [note for note in found if note["userId"] == user]

    def end(self) -> None:
        self.open.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class Asked(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.taken.append((self.headers, body))
        self.server.open.wait()
        self.send_response(self.server.status(body))
        self.send_header("Location", self.server.url)
        self.end_headers()

    do_GET = do_POST  # noqa: N815 (the name that http.server looks for)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
