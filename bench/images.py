"""What images cost: `python bench/images.py [--seconds 10] [--photos 20] [--quick]`.

One server on its core; PostgreSQL, Redis, Celery's worker and this program on the other. Told: how long a lone message
waits for its ack, alone and beside people who upload photographs of 4 million pixels as fast as they are taken (their
thumbnails are made in the server's threads); how many that are a second; and how many thumbnails of 24 million pixels
Celery makes a second, and what a message waits for meanwhile.
"""

import argparse
import dataclasses
import http.client
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from simple_websocket import Client

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import machine  # noqa: E402
from bench.contestants import CONTESTANTS, ROOT, SECRET, environment, on_stage  # noqa: E402
from bench.generator.latency import summarise  # noqa: E402
from bench.generator.tokens import mint  # noqa: E402
from bench.stage import Stage  # noqa: E402

__all__ = ["Uploaders", "measure", "photograph"]

SMALL, LARGE = (2_400, 1_700), (6_000, 4_000)  # pixels: below what Celery gets, and above
UPLOADERS = 4
PAUSE = 0.01  # seconds between two messages
OWED = "SELECT count(*) FROM media WHERE thumbnail = 'pending'"
UNLIMITED = {"UPLOAD_RATE": "0", "UPLOAD_UNUSED_BYTES": "100000000000"}
BOUNDARY = "a-boundary-of-the-benchmark"


def photograph(width: int, height: int) -> bytes:
    """A JPEG with as much detail as a photograph has."""
    plain = [maker("L").resize((width, height)) for maker in (Image.radial_gradient, Image.linear_gradient)]
    noise = Image.effect_noise((width // 4, height // 4), 30).resize((width, height))
    packed = io.BytesIO()
    Image.merge("RGB", [*plain, noise]).save(packed, "JPEG", quality=88)
    return packed.getvalue()


class Uploaders:
    """People who upload the same photograph again and again; `taken` and `refused` count the answers."""

    def __init__(self, port: int, photo: bytes, people: int, each: int = 0):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="media"; filename="a.jpg"\r\n\r\n'.encode()
        self._port, self._body = port, head + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
        self.taken = self.refused = 0
        self._each, self._ending = each, threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(f"up{number}",)) for number in range(people)]

    def start(self) -> "Uploaders":
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def wait(self) -> None:
        """Until each has uploaded as many as it was told."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """End after the upload under way."""
        self._ending.set()
        self.wait()

    def _go_on(self, user: str) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = _bearer(user) | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        left = self._each or sys.maxsize
        while left and not self._ending.is_set():
            line.request("POST", "/api/v1/uploads", self._body, headers)
            answer = line.getresponse()
            answer.read()
            if answer.status == 201:
                self.taken += 1
                left -= 1
            else:
                self.refused += 1
                time.sleep(float(answer.headers.get("Retry-After", 1)))
        line.close()


class Talker:
    """Somebody who says one thing after the other over a WebSocket, to one who is there."""

    def __init__(self, port: int):
        self._to, self._line = (
            Client.connect(f"ws://127.0.0.1:{port}/ws", headers=_bearer(user)) for user in ("listener", "talker")
        )
        self._other = json.loads(self._to.receive())["data"]["user"]["id"]  # of its hello
        self._number = 0

    def say(self) -> float:
        """Send a message; return how many seconds its ack took."""
        self._number += 1
        data = {"toUser": self._other, "content": "hello", "localId": f"a{self._number}"}
        begun = time.perf_counter()
        self._line.send(json.dumps({"op": "message.send", "id": self._number, "data": data}))
        while True:
            frame = json.loads(self._line.receive())
            if frame.get("re") == self._number:
                if "error" in frame:
                    raise RuntimeError(f"a message was refused: {frame['error']}")
                return time.perf_counter() - begun

    def talk(self, going_on: Callable[[], bool]) -> str:
        """Talk as long as it goes on; tell how long the acks took."""
        took = []
        while going_on():
            took.append(self.say())
            time.sleep(PAUSE)
        found = summarise(took)
        return f"ack p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms"

    def close(self) -> None:
        """Leave."""
        self._line.close()
        self._to.close()


def measure(stage: Stage, seconds: float, photos: int) -> Iterator[str]:
    """Measure, and give what was found, a line each."""
    us = CONTESTANTS["us"]
    us = dataclasses.replace(us, environ=us.environ | UNLIMITED | {"DATA_DIR": str(stage.home / "data")})
    with on_stage(us, stage) as (_, port):
        talker = Talker(port)
        talker.talk(_until(seconds / 5))  # warms up
        yield f"a lone message: {talker.talk(_until(seconds))}"
        yield _beside_uploads(talker, Uploaders(port, photograph(*SMALL), UPLOADERS), seconds)
        large = Uploaders(port, photograph(*LARGE), 1, photos).start()
        large.wait()
        with stage.visit() as database, _celery(environment(us, stage), stage.home / "celery.log"):
            yield _beside_celery(talker, lambda: int(database.execute(OWED).fetchone()[0]), photos)  # type: ignore[index]
        talker.close()


def _beside_uploads(talker: Talker, uploaders: Uploaders, seconds: float) -> str:
    uploaders.start()
    talker.talk(_until(seconds / 5))
    before = uploaders.taken
    acks = talker.talk(_until(seconds))
    each = (uploaders.taken - before) / seconds
    uploaders.stop()
    return f"beside {UPLOADERS} who upload: {acks}; {each:.1f} photographs of {_millions(SMALL)} a second"


def _beside_celery(talker: Talker, owed: Callable[[], int], photos: int) -> str:
    """From the first thumbnail to the last: a worker's start is no work."""
    while owed() == photos:
        time.sleep(PAUSE)
    begun, left = time.monotonic(), owed()
    acks = talker.talk(lambda: owed() > 0)
    each = left / (time.monotonic() - begun)
    return f"beside Celery's work: {acks}; {each:.1f} thumbnails of {_millions(LARGE)} a second"


@contextmanager
def _celery(environ: dict[str, str], path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-q", "-A", "tasks.worker", "worker", "--concurrency=2"]
    with path.open("ab") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def _until(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _bearer(user: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {mint(SECRET, user)}"}


def _millions(size: tuple[int, int]) -> str:
    return f"{size[0] * size[1] / 1e6:.0f} million pixels"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is measured")
    parser.add_argument("--photos", type=int, default=20, help="large ones")
    parser.add_argument("--quick", action="store_true", help="shortly, to see that it works")
    options = parser.parse_args()
    machine.pin(machine.SIDE_CORE)
    with Stage() as stage:
        for line in measure(stage, *((1.0, 4) if options.quick else (options.seconds, options.photos))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
