"""`python -m chat.launcher.stores DATA_DIR COMMAND…`: a command beside the embedded PostgreSQL and Redis alone.

`python app.py` starts and stops them with everything else; but whoever restores a backup wants a database that nobody
writes to. The command finds both as the parts of the server do, and PostgreSQL's own programs of the right version.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from chat.launcher.child import PROJECT
from chat.launcher.datadir import DataDir, DataDirError
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis
from chat.launcher.private_server import ServerError

__all__ = ["main"]


def main(argv: Sequence[str]) -> NoReturn:
    """Run the command. Exits as it does, or with 1 if the servers cannot be had: somebody else runs them."""
    if len(argv) < 2:
        sys.exit("python -m chat.launcher.stores DATA_DIR COMMAND…")
    try:
        sys.exit(_run(argv[0], argv[1:]))
    except (DataDirError, ServerError) as error:
        sys.exit(str(error))


def _run(folder: str, command: Sequence[str]) -> int:
    data = DataDir(folder, 0)
    if not data.path.is_dir():
        raise DataDirError(f"There is no data directory {data.path}.")
    data.lock()
    with Postgres(data.path / "postgresql") as postgres, Redis(data.path / "redis") as redis:
        places = [str(Path(sys.executable).parent), str(postgres.binaries), os.environ.get("PATH", os.defpath)]
        environ = {
            **os.environ,
            "PATH": os.pathsep.join(places),
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "DATA_DIR": str(data.path),
            "JWT_SECRET": os.environ.get("JWT_SECRET") or data.secret("jwt-secret"),
        }
        return subprocess.run(command, cwd=PROJECT, env=environ, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    main(sys.argv[1:])
