"""The benchmark: `python bench/run.py [--rounds 3] [--quick] [--only us,p1,p1b,flask] [--rows pairs,…]`.

It starts a PostgreSQL and a Redis of its own, then each server in turn for each row, round after round, and prints the
table of the medians. docs/benchmarks.md tells what is measured and how.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

# As a script, Python puts this folder on the path: its modules would then hide others of the same names.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import machine  # noqa: E402
from bench.check import find_disturbances, find_faults, stored  # noqa: E402
from bench.contestants import CONTESTANTS, SECRET, Contestant, on_stage  # noqa: E402
from bench.play import Figures, play  # noqa: E402
from bench.rows import ROWS, Row  # noqa: E402
from bench.stage import Stage  # noqa: E402
from bench.table import render  # noqa: E402

DEFAULT = "us,p1b,p1,flask"
TO_BEAT = "p1b"
Results = dict[tuple[str, str], list[Figures]]  # the rounds' figures, by row and contestant


def main() -> None:
    """Play everything that was asked for, and print."""
    options = read_arguments()
    contestants = [CONTESTANTS[name] for name in options.only.split(",")]
    rows = [ROWS[name] for name in options.rows.split(",")]
    machine.pin(machine.SIDE_CORE)
    results: Results = {}
    with Stage(options.postgres) as stage:
        for number in range(options.rounds):
            # Another order in each round, so that nobody always comes after the same one.
            first = number % len(contestants)
            for row in rows:
                if number < (row.rounds or options.rounds):
                    play_round(stage, row, contestants[first:] + contestants[:first], options.quick, results)
        about = stage.describe()
    labels = {contestant.name: contestant.label for contestant in contestants}
    print(render(rows, labels, results, TO_BEAT))
    notes = ["a quick run: shorter, and with fewer users than the labels say"] if options.quick else []
    print("\n" + "\n".join(f"- {line}" for line in [*about, *notes]))
    if options.json:
        options.json.write_text(json.dumps([[*key, value] for key, value in results.items()], indent=1))


def play_round(stage: Stage, row: Row, contestants: list[Contestant], quick: bool, results: Results) -> None:
    """A row with each contestant once; one that fails is told of and leaves its place empty."""
    for contestant in contestants:
        try:
            figures = play_row(stage, row, contestant, quick)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            notes = getattr(error, "__notes__", ())
            print(f"{row.name}, {contestant.name}: {error}", *notes, sep="\n", file=sys.stderr)
        else:
            results.setdefault((row.name, contestant.name), []).append(figures)


def read_arguments() -> argparse.Namespace:
    """What the caller wants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is played; medians are taken")
    parser.add_argument("--quick", action="store_true", help="short and small, to see that it works")
    parser.add_argument("--only", default=DEFAULT, help=f"contestants, of {','.join(CONTESTANTS)}")
    parser.add_argument("--rows", default=",".join(ROWS), help="rows of the table")
    parser.add_argument("--postgres", help="folder of PostgreSQL's programs, instead of the wheel's")
    parser.add_argument("--json", type=Path, help="write every round's figures to this file")
    return parser.parse_args()


def play_row(stage: Stage, row: Row, contestant: Contestant, quick: bool) -> Figures:
    """The figures of one round of a row, by job, with its faults told on stderr."""
    figures: Figures = {}
    for name, numbers in row.jobs.items():
        with on_stage(contestant, stage) as (pid, port):
            job = {"wire": contestant.wire, "port": port, "secret": SECRET, **numbers, **(row.quick if quick else {})}
            stage.log_statements(name == "statements")
            figures[name] = play(stage, pid, job)
            stage.log_statements(False)
        faults = find_faults(figures[name], stored(stage, contestant.wire), row.copies) if row.copies else []
        faults += find_disturbances(figures[name].get("cpu", {}))
        for fault in faults or figures[name]["gone"]:
            print(f"{row.name}/{name}, {contestant.name}: {fault}", file=sys.stderr)
    return figures


if __name__ == "__main__":
    main()
