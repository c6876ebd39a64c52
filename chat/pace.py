"""How fast a client must send or take what is long: who dawdles holds a connection, a file and memory of ours. Pure.

Counted is the time for which we wait for the client, not what we do meanwhile. Whoever is fast saves up no more than
the grace, so that nobody can send nearly all at once and hold the rest back for long.
"""

__all__ = ["Pace"]

GRACE_SECONDS = 30.0  # by which one may be behind: a train in a tunnel
BYTES_A_SECOND = 16_384  # a poor phone line


class Pace:
    """The time that one client has left."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = GRACE_SECONDS

    def seconds_for(self, size: int) -> float:
        """Return for how many seconds to wait at most until so many bytes have come, or gone; above 0."""
        return max(0.001, self._left + size / BYTES_A_SECOND)

    def note(self, size: int, seconds: float) -> None:
        """Note that so many bytes have come, or gone, for which we waited so long."""
        self._left = min(GRACE_SECONDS, self._left + size / BYTES_A_SECOND - seconds)
