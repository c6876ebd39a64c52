"""One run from its plan to its verdict, and what a failed one leaves behind."""

import time
import traceback
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.chaos.actor import Actor, Scene, finish
from tests.chaos.device import Device, Stay
from tests.chaos.doors import doors
from tests.chaos.errands import ERRANDS
from tests.chaos.faults import strike
from tests.chaos.field import Field, Story
from tests.chaos.logs import complaints
from tests.chaos.plan import Plan, told
from tests.chaos.presence import flickers
from tests.chaos.verdict import asked, judge
from tests.clients.crowd import Crowd
from tests.ledger import Ledger

__all__ = ["Result", "place_of", "play"]


class Result(NamedTuple):
    """How a run went: seconds until nobody lacked anything, what was wrong, and where it is kept.

    `batches`: how many were handed to returning devices behind the first of each backlog.
    """

    seed: int
    wrong: list[str]
    seconds: float
    settled: float
    acks: int
    refusals: dict[str, int]
    batches: int
    folder: str

    def line(self) -> str:
        """Return it in a line."""
        end = f"FAILED ({len(self.wrong)}): {self.wrong[0][-300:]}" if self.wrong else "ok"
        answers = " ".join(f"{code} {count}" for code, count in sorted(self.refusals.items()))
        return (
            f"seed {self.seed}: {self.seconds:.1f} s, {self.acks} acked, settled in {self.settled:.1f} s"
            f"{f', {self.batches} later batches' if self.batches else ''}; {answers or 'no refusals'}; "
            f"{f'see {self.folder}; ' if self.folder else ''}{end}"
        )


class _Run:
    """A plan on a field. What is wrong with the run itself is found, too, and told as wrong."""

    def __init__(self, plan: Plan, field: Field):
        self.plan, self.field = plan, field
        self.story = field.story = Story()
        self.wrong: list[str] = []
        self.settled = 0.0
        self.ledger: Ledger = {}
        self.devices: list[Device] = []
        self.actors: list[Actor] = []
        self.logs = {path: path.stat().st_size for path in field.logs()}

    def play(self) -> None:
        """Let people talk, break what the plan says, heal everything, and judge."""
        urls = [web.url for web in self.field.webs]
        begun = time.monotonic()
        with Crowd(urls, self.field.postgres.url) as crowd:
            try:
                self._seat(crowd)
                begun = time.monotonic()
                self._break()
                self.field.heal()
                self.story.tell("everything is healed")
                scene = self.actors[0].scene
                finish(self.actors, scene)
                self.story.tell("everything is answered")
                with doors(self.field) as ways:
                    verdict = judge(crowd, scene, ways)
                self.wrong += verdict.wrong
                self.settled, self.ledger = verdict.settled, verdict.ledger
                self.wrong += flickers(self._stays(), [turn for device in self.devices for turn in device.turns], begun)
            except Exception:  # noqa: BLE001 (a finding as any other, and the next run goes on)
                self.wrong.append(traceback.format_exc())
                self._end_actors()
        self.wrong += [text for actor in self.actors for text in actor.wrong]
        self.wrong += [text for device in self.devices for text in device.wrong]
        self.wrong += complaints(self.new_logs())

    def _stays(self) -> dict[str, list[Stay]]:
        found: dict[str, list[Stay]] = {}
        for device in self.devices:
            found.setdefault(device.person.id, []).extend(device.whereabouts())
        return found

    def batches(self) -> int:
        """Return how many batches came behind another one."""
        told = [batch for device in self.devices for batch in device.events("offline.batch")]
        return sum(1 for batch in told if batch["remaining"])

    def _end_actors(self) -> None:
        for actor in self.actors:
            actor.scene.over.set()
            actor.scene.late.set()

    def _seat(self, crowd: Crowd) -> None:
        plan = self.plan
        people = [crowd.person(number % len(crowd.urls)) for number in range(plan.people)]
        groups = [
            people[room.owner].group(*(people[member] for member in room.members), history=room.history, joining="open")
            for room in plan.rooms
        ]
        scene = Scene(people, groups, crowd.urls, self.story)
        for number, seat in enumerate(plan.seats):
            urls = [*crowd.urls[seat.web :], *crowd.urls[: seat.web]]
            device = asked(partial(Device, self.story, f"d{number}", people[seat.person], seat.carrier, urls))
            crowd.devices.append(device)
            self.devices.append(device)
            asked(device.refresh)
            acts = [act for act in plan.acts if act.seat == number]
            self.actors.append(Actor(device, number, acts, scene, ERRANDS))
        self.story.begin()
        for actor in self.actors:
            actor.thread.start()

    def _break(self) -> None:
        """Break and mend by the clock, until the time of the plan is over."""
        todo = [(fault.at, fault) for fault in self.plan.faults]
        mends = []
        while todo or mends:
            if not mends or (todo and todo[0][0] <= mends[0][0]):
                at, fault = todo.pop(0)
                self._wait(at)
                mend = strike(fault, self.field, self.devices)
                mends.append((self.story.seconds() + fault.lasting, fault.kind, mend))
                mends.sort(key=lambda mend: mend[0])
            else:
                at, kind, mend = mends.pop(0)
                self._wait(at)
                mend()
                self.story.tell(f"-- {kind} is over")
        self._wait(self.plan.seconds)

    def _wait(self, at: float) -> None:
        time.sleep(max(0.0, at - self.story.seconds()))

    def new_logs(self) -> dict[Path, str]:
        """Return what the servers wrote during this run."""
        found = {}
        for path in self.field.logs():
            with path.open("rb") as log:
                log.seek(min(self.logs.get(path, 0), path.stat().st_size))
                found[path] = log.read().decode(errors="replace")
        return found

    def keep(self, folder: Path) -> None:
        """Leave everything behind that tells how it came."""
        folder.mkdir(parents=True)
        (folder / "plan.txt").write_text(told(self.plan))
        (folder / "again.txt").write_text(f"{place_of(self.plan, self.field)[1]}\n")
        (folder / "story.txt").write_text(self.story.text())
        (folder / "wrong.txt").write_text("\n".join(self.wrong) + "\n")
        for path, text in self.new_logs().items():
            (folder / path.name).write_text(text)
        for device in self.devices:
            (folder / f"{device.name} of {device.person.id}.txt").write_text(device.journal.text())
        for wire_id, conversation in self.ledger.items():
            rows = "\n".join(str(row) for row in conversation.rows)
            members = "\n".join(f"{user} {asdict(member)}" for user, member in conversation.members.items())
            (folder / f"ledger {wire_id}.txt").write_text(f"{members}\n{rows}\n")


def play(plan: Plan, field: Field, keep: Path) -> Result:
    """Play a plan on a field of its shape; a failed run leaves a folder in `keep`."""
    begun = time.monotonic()
    run = _Run(plan, field)
    run.play()
    folder = ""
    if run.wrong:
        kept = keep / f"seed-{plan.seed}-{time.time_ns() // 1_000_000}"
        run.keep(kept)
        folder = str(kept)
    refusals: Counter[str] = sum((actor.refusals for actor in run.actors), Counter())
    acks = sum(actor.acks for actor in run.actors)
    seconds = time.monotonic() - begun
    field.played.append(plan.seed)
    return Result(plan.seed, run.wrong, seconds, run.settled, acks, dict(refusals), run.batches(), folder)


def place_of(plan: Plan, field: Field) -> tuple[str, str]:
    """Return what a run is, before it begins, and the command that repeats it with what its field has seen before."""
    shape = f"{plan.shape.webs}x{plan.shape.workers}"
    seeds = ",".join(map(str, [*field.played, plan.seed]))
    again = f"python -m tests.chaos --seeds {seeds} --shape {shape} --seconds {plan.seconds:g}"
    return f"seed {plan.seed}, {shape}, run {len(field.played) + 1} of its field", again
