"""`python -m tests.chaos`: random fault runs by number."""

import argparse
import faulthandler
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
from tests.chaos.plan import SECONDS, Plan, Shape, make_plan
from tests.chaos.run import Result, place_of, play

WARM = 25  # runs on one field: its tables and caches are then as full as a young server's
HUNG = 600.0  # seconds of a run after which its threads are told, and it ends: everything in it has its own bound


def main() -> int:
    """Run them, print a line before and after each and what they found together.

    Returns 0 if all were run and kept every promise.
    """
    options = _options()
    signal.signal(signal.SIGTERM, _end)  # so that whatever was started is stopped
    folder = Path(options.keep or tempfile.mkdtemp(prefix="chaos-"))
    seeds = (options.seeds or [options.seed + place for place in range(options.runs)]) * options.again
    if options.jobs == 1:
        plans = [make_plan(seed, options.seconds, options.shape) for seed in seeds]
        plans = plans if options.seeds else sorted(plans, key=lambda plan: plan.shape)
        results = list(_noted(_run_all(plans, folder), options.results))
    else:
        results = _share_out(seeds, options, folder)
    _sum_up(results)
    return int(len(results) < len(seeds) or any(result.wrong for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Random fault runs.")
    parser.add_argument("--runs", type=int, default=1, help="how many")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the first; the others follow")
    parser.add_argument("--seeds", type=_numbers, help="these, in this order: 7,3,12")
    parser.add_argument("--again", type=int, default=1, help="each seed so often")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of talk and faults in each")
    parser.add_argument("--shape", type=_shape, help="web servers x workers of each, instead of the seed's own: 2x1")
    parser.add_argument("--jobs", type=int, default=1, help="at a time")
    parser.add_argument("--keep", default="", help="folder for what failed runs leave behind")
    parser.add_argument("--results", default="", help="file to which each result goes as a line of JSON")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _shape(text: str) -> Shape:
    webs, workers = text.split("x")
    return Shape(int(webs), int(workers))


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)


def _run_all(plans: list[Plan], keep: Path) -> Iterator[Result]:
    """Run these, neighbours of one shape on one field; a field that a run failed on serves no other."""
    for shape, group in groupby(plans, key=lambda plan: plan.shape):
        rest = list(group)
        while rest:
            field = Field(Path(tempfile.mkdtemp(prefix="field-")), shape)
            try:
                field.start()
                for _ in range(min(WARM, len(rest))):
                    result = _play(rest.pop(0), field, keep)
                    yield result
                    if result.wrong:
                        break
            finally:
                field.stop()


def _noted(results: Iterator[Result], file: str) -> Iterator[Result]:
    """Give each result, written down as it comes."""
    for result in results:
        if file:
            with Path(file).open("a") as found:
                found.write(json.dumps(result._asdict()) + "\n")
        yield result


def _play(plan: Plan, field: Field, keep: Path) -> Result:
    """Play a plan, telling before which it is, lest one that hangs stay unknown."""
    what, again = place_of(plan, field)
    print(f"{what}: begins", flush=True)
    faulthandler.dump_traceback_later(HUNG, exit=True)
    try:
        result = play(plan, field, keep)
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(result.line() + (f"\n    again: {again}" if result.wrong else ""), flush=True)
    return result


def _share_out(seeds: list[int], options: argparse.Namespace, keep: Path) -> list[Result]:
    """Run these in several processes; what each found stands in a file of its own."""
    keep.mkdir(parents=True, exist_ok=True)
    files = [keep / f"results-{os.getpid()}-{job}.jsonl" for job in range(options.jobs)]
    shape = ["--shape", f"{options.shape.webs}x{options.shape.workers}"] if options.shape else []
    own = [sys.executable, "-m", "tests.chaos", "--seconds", str(options.seconds), "--keep", str(keep), *shape]
    parts = []
    for job, file in enumerate(files):
        file.touch()
        theirs = sorted(seeds[job :: options.jobs], key=lambda seed: make_plan(seed).shape)
        if theirs:
            chosen = ["--seeds", ",".join(map(str, theirs)), "--results", str(file)]
            parts.append(subprocess.Popen([*own, *chosen]))
    try:
        for part in parts:
            part.wait()
    finally:
        for part in parts:
            part.terminate()
            part.wait()
    return [Result(**json.loads(line)) for file in files for line in file.read_text().splitlines()]


def _sum_up(results: list[Result]) -> None:
    failed = [result for result in results if result.wrong]
    refusals: Counter[str] = sum((Counter(result.refusals) for result in results), Counter())
    print(
        f"{len(results)} runs, {sum(result.acks for result in results)} messages acked, refusals: {dict(refusals)}; "
        f"{sum(result.batches for result in results)} later batches of backlogs; "
        f"settled in {max((result.settled for result in results), default=0.0):.1f} s at most; {len(failed)} failed"
    )
    for result in failed:
        print(f"seed {result.seed}: {result.folder}")
        for text in result.wrong[:5]:
            print(f"    {text[:500]}")


if __name__ == "__main__":
    sys.exit(main())
