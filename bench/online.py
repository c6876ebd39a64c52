"""What presence costs Redis: `python bench/online.py [--users 100000] [--processes 4] [--seconds 30] [--quick]`.

The server's own leases (chat/leases.py) of so many users, one session each, in one program on a Redis of its own. Told:
memory, how fast they come, what their signs of life and the sweeps take of Redis while nothing happens, and how long it
takes until everybody of a killed process is told as gone. Times of Redis are Redis's own (INFO commandstats).
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from redis import Redis  # noqa: E402

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chat.launcher.embedded_redis import Redis as PrivateRedis  # noqa: E402
from chat.lease_notes import Lengths, Turn  # noqa: E402
from chat.leases import Leases  # noqa: E402

__all__ = ["Crowd", "measure"]

HEARD_EVERY = 25.0  # seconds: the pings of quiet WebSockets
TICK = 0.1
MEMORY = "1gb"  # for Redis: nothing shall be given up
PREFIX = "bench:"
QUICK = Lengths(process=1.0, session=7.0, grace=1.0)


class Crowd:
    """Users on several processes. `gone`: how many were told as gone, by whomever."""

    def __init__(self, redis: Redis, users: int, processes: int, lengths: Lengths):
        self.redis, self.users, self.gone = redis, users, 0
        self._leases = [
            Leases(redis, PREFIX, f"process{number}", self._turned(number), lengths) for number in range(processes)
        ]
        self._loops = [gevent.spawn(leases.loops["leases"]) for leases in self._leases]
        self._hearts = None

    def _turned(self, number: int):  # type: ignore[no-untyped-def]
        def turned(turns: list[Turn]) -> None:
            self.gone += sum(1 for turn in turns if not turn.online)
            self._leases[number].told(turns)

        return turned

    def come(self) -> float:
        """Let everybody come; return how long it took until Redis knew all of them."""
        begun = time.monotonic()
        for number in range(self.users):
            self._home(number).enter(f"u{number}", f"s{number}")
        while self._known() < self.users:
            gevent.sleep(TICK)
        self._hearts = gevent.spawn(self._beat)
        return time.monotonic() - begun

    def kill(self) -> float:
        """Let the first process be killed; return how long it took until all of its users were told as gone."""
        begun, theirs = time.monotonic(), len(range(0, self.users, len(self._leases)))
        self._loops[0].kill()
        while self.gone < theirs:
            gevent.sleep(TICK)
        return time.monotonic() - begun

    def _home(self, number: int) -> Leases:
        return self._leases[number % len(self._leases)]

    def _known(self) -> int:
        return int(self.redis.scard(f"{PREFIX}presence:online"))

    def _beat(self) -> None:
        """Let everybody be heard, one after the other, again and again."""
        share = max(1, int(self.users * TICK / HEARD_EVERY))
        number = 0
        while True:
            for _ in range(share):
                number = (number + 1) % self.users
                self._home(number).alive(f"s{number}")
            gevent.sleep(TICK)


def measure(redis: Redis, users: int, processes: int, seconds: float, lengths: Lengths) -> list[str]:
    """Return what was found, a line each."""
    empty = redis.info("memory")["used_memory"]
    crowd = Crowd(redis, users, processes, lengths)
    came = crowd.come()
    memory = redis.info("memory")["used_memory"] - empty
    found = [
        f"{users:,} users on {processes} processes: {memory / 1e6:.1f} MB of Redis, {memory / users:.0f} bytes each",
        f"came within {came:.1f} s ({users / came:,.0f}/s)",
    ]
    gevent.sleep(lengths.renewal)  # until what was noted on coming is told
    calls, busy = spent(redis)
    gevent.sleep(seconds)
    more, longer = spent(redis)
    calls, busy = (more - calls) / seconds, (longer - busy) / seconds
    found.append(
        f"while nothing happens: {users / HEARD_EVERY:,.0f} signs of life a second, {calls:.0f} calls, sweeps included:"
        f" {busy / calls * 1e3:.2f} ms of Redis each, {busy * 100:.1f} % of its core"
    )
    found.append(f"a killed process: all of its {users // processes:,} users told as gone after {crowd.kill():.1f} s")
    return found


def spent(redis: Redis) -> tuple[int, float]:
    """Return how many scripts were run, and how many seconds they took of Redis."""
    stats = redis.info("commandstats")
    scripts = [row for name, row in stats.items() if name in ("cmdstat_evalsha", "cmdstat_eval")]
    return sum(row["calls"] for row in scripts), sum(row["usec"] for row in scripts) / 1e6


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long nothing happens")
    parser.add_argument("--quick", action="store_true", help="with short leases, to see that it works")
    options = parser.parse_args()
    lengths = QUICK if options.quick else Lengths()
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as home,
        PrivateRedis(Path(home) / "redis", memory=MEMORY, keep=False) as server,
        Redis.from_url(server.url) as redis,
    ):
        print("\n".join(measure(redis, options.users, options.processes, options.seconds, lengths)))


if __name__ == "__main__":
    main()
