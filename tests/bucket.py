"""A private S3 server for tests: moto's, in a process of its own, so that it can be killed and frozen."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
from botocore.session import Session

from tests.deployment import free_port, wait_for

__all__ = ["KEY_ID", "SECRET", "Bucket"]

KEY_ID, SECRET = "AKIATESTS", "a/secret+of=the tests"
READY_WITHIN = 60.0  # seconds
SERVER = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


class Bucket:
    """One server with one bucket; what is in it lies in its memory. `url` is its STORAGE_URL."""

    def __init__(self, folder: Path, name: str = "uploads"):
        self.port, self.name, self._log = free_port(), name, folder / "s3.log"
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.url = f"s3://{KEY_ID}:a%2Fsecret%2Bof=the%20tests@127.0.0.1:{self.port}/{name}?tls=off"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Bucket":
        """Start the server, with an empty bucket."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(self.port)], stdout=log, stderr=log, cwd=self._log.parent
            )
        wait_for(self._made, READY_WITHIN, f"the S3 server, see {self._log}")
        return self

    def kill(self) -> None:
        """End it without asking."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stored(self) -> set[str]:
        """Return the keys of everything that is stored."""
        return {found["Key"] for found in self._client().list_objects_v2(Bucket=self.name).get("Contents", ())}

    def head(self, key: str) -> dict[str, Any]:
        """Return what is said of a stored file, as to whoever comes without a signed address."""
        return self._client().head_object(Bucket=self.name, Key=key)

    def _client(self) -> Any:
        keys = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        return Session().create_client("s3", endpoint_url=self.endpoint, **keys)

    def _made(self) -> bool:
        try:
            return requests.put(f"{self.endpoint}/{self.name}", timeout=5).ok
        except requests.RequestException:
            return False
