"""When a child that ended is started again, and when that is given up. Pure: the clock is an argument."""

__all__ = ["GiveUpError", "Restarts"]

QUICK_SECONDS = 10.0  # an end sooner than this after the start counts as a failed start
FIRST_DELAY = 0.25  # seconds before the second try; doubled each time
LONGEST_DELAY = 2.0  # seconds: whoever is killed again and again is soon there again
MOST_FAILURES = 5  # starts in a row that failed by themselves: the sixth would fail like them
SPARE_DELAY = 60.0  # seconds between starts of a child that fails like that, and without which people can go on


class GiveUpError(Exception):
    """A child ends by itself each time it is started; the text says so to a person."""


class Restarts:
    """The starts and ends of one child. Kills from outside slow the restarts down, only its own exits end them.

    Without a `vital` one nobody can be served; another one is never given up.
    """

    def __init__(self, name: str, *, vital: bool = True):
        self._name = name
        self._vital = vital
        self._started = 0.0
        self._quick = 0
        self._failures = 0

    def started(self, now: float) -> None:
        """Note a start, at `now` seconds of a clock that never goes back."""
        self._started = now

    def ended(self, now: float, exit_code: int) -> float:
        """Note an end; return the seconds to wait before the next start. Raises GiveUpError."""
        if now - self._started > QUICK_SECONDS:
            self._quick = self._failures = 0
        self._failures = self._failures + 1 if exit_code >= 0 else 0
        if self._failures >= MOST_FAILURES:
            if not self._vital:
                return SPARE_DELAY
            raise GiveUpError(f"{self._name} ended {MOST_FAILURES} times just after its start (exit code {exit_code}).")
        delay = FIRST_DELAY * 2 ** (self._quick - 1) if self._quick else 0.0
        self._quick += 1
        return min(LONGEST_DELAY, delay)
