"""What servers write of themselves: whatever nobody foresaw fails a run, and what is foreseen is listed here."""

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["complaints"]

BEGIN = "Traceback (most recent call last)"
LOUD = re.compile(  # a line that says by itself that something is wrong
    r"\[(ERROR|CRITICAL)\]|: (ERROR|CRITICAL)/|failed on our side|Unforeseen in|and begins anew"
    r"|(^|UTC \[\d+\] )(ERROR|FATAL|PANIC): |Segmentation fault|Fatal Python error|REDIS BUG REPORT"
)
FORESEEN = (  # what faults bring about, and whose doing it is
    r"Worker \(pid:\d+\) (was sent SIG(KILL|TERM)!|exited with code)",  # gunicorn, of what we kill
    # Celery, of a broker that is away, and of its own parts that trip over it
    r"(consumer|beat): (Cannot connect to|Connection error)",
    r"^celery\.log: .*(Error on \w+ (Gossip|Mingle|Heart|Tasks|Control|Events): |redis\.exceptions\.\w+Error)",
    # and of a task whose database is away: what it should have done is found again
    r"^celery\.log: .*(ChatError\('(overloaded|unavailable)|OperationalError|tasks\.[\w.]+ failed: )",
    # PostgreSQL, of what is killed, restarted, or waits for what stands still
    r"FATAL:  (the database system is|terminating (connection|background worker)|connection to client lost)",
    r"ERROR:  canceling statement due to (lock|statement) timeout",
    r"FATAL:  terminating connection due to idle-in-transaction timeout",
)
INDENTED = re.compile(r"\s|$|\|")
CHAINED = re.compile(r"another exception occurred:$|the direct cause of the following exception:$")
PREFIX = re.compile(r"^\[[^\]]*(WARNING|ERROR)/[^\]]*\] ?")  # by which Celery marks each line of a traceback


def complaints(logs: dict[Path, str]) -> list[str]:
    """Return what the logs tell that is not foreseen, in short."""
    found = []
    for path, text in logs.items():
        found += [text[:300] for loud in _loud(text.splitlines()) if not _is_foreseen(text := f"{path.name}: {loud}")]
    return found


def _is_foreseen(text: str) -> bool:
    return any(re.search(pattern, text) for pattern in FORESEEN)


def _loud(lines: list[str]) -> Iterator[str]:
    """Give each loud line, and each traceback by the line before it and its last."""
    place = 0
    while place < len(lines):
        if BEGIN in lines[place]:
            before = lines[place - 1] if place else ""
            place, last = _end_of(lines, place)
            yield f"{before} … {last}"
        elif LOUD.search(lines[place]) and not any(BEGIN in line for line in lines[place + 1 : place + 2]):
            yield lines[place]
        place += 1


def _end_of(lines: list[str], place: int) -> tuple[int, str]:
    """Return where a chain of tracebacks ends, and what it says there."""
    end, last = _end_of_one(lines, place)
    for number in range(end + 1, len(lines)):
        if BEGIN in lines[number]:
            return _end_of(lines, number)
        if lines[number].strip() and not CHAINED.search(lines[number]):
            break
    return end, last


def _end_of_one(lines: list[str], place: int) -> tuple[int, str]:
    marked = lines[place].lstrip().startswith("|")
    for number in range(place + 1, len(lines)):
        line = PREFIX.sub("", lines[number])
        if marked:
            if not line.lstrip().startswith("|"):
                return number - 1, lines[number - 1]
        elif not INDENTED.match(line):
            return number, line
    return len(lines) - 1, lines[-1]
