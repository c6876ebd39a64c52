"""`python -m bench.generator` reads one job from stdin and prints marks and the result."""

import json
import sys
from collections.abc import Callable
from typing import Any

from bench.generator import asking, closed_loop, flood, gathering, polling, presence
from bench.generator.job import Job, report

KINDS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "pairs": closed_loop.run_pairs,
    "group": closed_loop.run_group,
    "accept": gathering.run_accept,
    "idle": gathering.run_idle,
    "presence": presence.run_presence,
    "flood": flood.run_flood,
    "unread": asking.run_unread,
    "polling": polling.run_polling,
}

job = Job(**json.loads(sys.stdin.readline()))
report(KINDS[job.kind](job))
