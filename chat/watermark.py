"""Up to which number of the bus everything was delivered here. Pure."""

from chat.hub import Hub

__all__ = ["Watermark"]


class Watermark:
    """The last number heard, less what still waits at a gate or for a member list."""

    def __init__(self) -> None:
        self._heard = 0

    def reset(self, n: int) -> None:
        """Begin anew at the number at which the subscription began."""
        self._heard = n

    def heard(self, n: int) -> None:
        """A batch that ends at this number was heard and offered to the hub."""
        self._heard = max(self._heard, n)

    def n(self, hub: Hub) -> int:
        """Return the number up to which nothing is missing here."""
        waiting = [event.n for event in hub.waiting() if event.n]
        return min([self._heard, *(n - 1 for n in waiting)])
