"""`python -m tests.chaos`: random fault runs by number."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import FrameType

from tests.chaos.field import Field
from tests.chaos.plan import SECONDS, make_plan
from tests.chaos.run import Result, play

WARM = 25  # runs on one field: its tables and caches are then as full as a young server's


def main() -> int:
    """Run them, print a line for each and what they found together; return 0 if all were run and kept every promise."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)  # so that whatever was started is stopped
    folder = Path(options.keep or tempfile.mkdtemp(prefix="chaos-"))
    seeds = [options.seed + place for place in range(options.runs)] * options.again
    results = (
        list(_run_all(seeds, options.seconds, folder))
        if options.jobs == 1
        else _share_out(seeds, options.jobs, options.seconds, folder)
    )
    _sum_up(results)
    return int(len(results) < len(seeds) or any(result.wrong for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Random fault runs.")
    parser.add_argument("--runs", type=int, default=1, help="how many")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the first; the others follow")
    parser.add_argument("--again", type=int, default=1, help="each seed so often")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of talk and faults in each")
    parser.add_argument("--jobs", type=int, default=1, help="at a time")
    parser.add_argument("--keep", default="", help="folder for what failed runs leave behind")
    return parser.parse_args()


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)


def _run_all(seeds: list[int], seconds: float, keep: Path) -> Iterator[Result]:
    """Run these, those of one shape together; a field that a run failed on serves no other."""
    plans = sorted((make_plan(seed, seconds) for seed in seeds), key=lambda plan: plan.shape)
    for shape, group in groupby(plans, key=lambda plan: plan.shape):
        rest = list(group)
        while rest:
            field = Field(Path(tempfile.mkdtemp(prefix="field-")), shape)
            try:
                field.start()
                for _ in range(min(WARM, len(rest))):
                    result = play(rest.pop(0), field, keep)
                    print(result.line(), flush=True)
                    yield result
                    if result.wrong:
                        break
            finally:
                field.stop()


def _share_out(seeds: list[int], jobs: int, seconds: float, keep: Path) -> list[Result]:
    """Run these in several processes."""
    keep.mkdir(parents=True, exist_ok=True)
    own = [sys.executable, "-m", "tests.chaos", "--part", str(seconds), str(keep)]
    parts = [subprocess.Popen([*own, ",".join(map(str, seeds[job::jobs]))]) for job in range(jobs)]
    try:
        for part in parts:
            part.wait()
    finally:
        for part in parts:
            part.terminate()
            part.wait()
    return [
        Result(**json.loads(line))
        for part in parts
        for line in (keep / f"results-{part.pid}.jsonl").read_text().splitlines()
    ]


def _part(seconds: str, keep: str, seeds: str) -> int:
    """Be one of several processes: what it found stands in a file of its own."""
    signal.signal(signal.SIGTERM, _end)
    with (Path(keep) / f"results-{os.getpid()}.jsonl").open("a") as found:
        for result in _run_all([int(seed) for seed in seeds.split(",") if seed], float(seconds), Path(keep)):
            found.write(json.dumps(result._asdict()) + "\n")
            found.flush()
    return 0


def _sum_up(results: list[Result]) -> None:
    failed = [result for result in results if result.wrong]
    refusals: Counter[str] = sum((Counter(result.refusals) for result in results), Counter())
    print(
        f"{len(results)} runs, {sum(result.acks for result in results)} messages acked, refusals: {dict(refusals)}; "
        f"settled in {max((result.settled for result in results), default=0.0):.1f} s at most; "
        f"{sum(result.tracebacks for result in results)} tracebacks; {len(failed)} failed"
    )
    for result in failed:
        print(f"seed {result.seed}: {result.folder}")
        for text in result.wrong[:5]:
            print(f"    {text[:500]}")


if __name__ == "__main__":
    sys.exit(_part(*sys.argv[2:]) if sys.argv[1:2] == ["--part"] else main())
