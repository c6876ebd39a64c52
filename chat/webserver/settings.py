"""What gunicorn is told, read from the environment: `gunicorn -c chat/webserver/settings.py wsgi:app`.

gunicorn reads this before it forks, so it may import nothing that opens sockets or threads: gevent patches in the
worker, and `wsgi.py` sees to it.
"""

import os
import signal
from pathlib import Path
from typing import Any

from chat.launcher.child import tie_to_parent
from chat.webserver.descriptors import usable_descriptors


def _bind() -> str:
    # The supervisor listens already: while the web server starts anew, clients wait for a moment and are not refused.
    inherited = os.environ.get("CHAT_LISTEN_FD")
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "5000")
    return f"fd://{inherited}" if inherited else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


bind = _bind()
workers = int(os.environ.get("WORKERS", "1"))
worker_class = "chat.webserver.worker.Worker"
worker_connections = usable_descriptors()  # that requests hold; detached ones are bounded by their descriptors alone
backlog = 2048  # connections waiting to be accepted: everybody comes back at once after a restart
timeout = 30  # seconds without a sign of life after which a worker is stuck in C and is replaced
graceful_timeout = 8  # seconds to drain: inside the 10 s that a container or the supervisor gives
preload_app = False  # nothing of the application may exist before the fork and the patch
control_socket_disable = True  # a thread in the master, and one file for all servers of a user
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (the sign of life must not wait for a disk)
loglevel = os.environ.get("LOG_LEVEL", "warning")
errorlog = "-"
accesslog = None


def post_fork(server: Any, worker: Any) -> None:
    """Let the worker end with gunicorn's master, even if that is killed."""
    tie_to_parent(signal.SIGKILL, worker.ppid)
    del server
