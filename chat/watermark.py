"""Up to which number of the bus everything was delivered here. Pure."""

from chat.hub import Hub

__all__ = ["Watermark"]


class Watermark:
    """The last number heard, less what still waits at a gate or for a member list."""

    def __init__(self) -> None:
        self._heard = 0
        self._floor: int | None = None  # what was numbered since may have been missed

    def reset(self, n: int, floor: int | None = None) -> None:
        """Begin anew at the number at which the subscription began; stand at `floor`, if given, until `settle`."""
        self._heard, self._floor = n, floor

    def missed(self, hub: Hub) -> None:
        """What comes next could not be read: stand here until `settle`."""
        self._floor = self.n(hub)

    def settle(self) -> None:
        """What was missed is delivered."""
        self._floor = None

    def heard(self, n: int) -> None:
        """A batch that ends at this number was heard and offered to the hub."""
        self._heard = max(self._heard, n)

    def n(self, hub: Hub) -> int:
        """Return the number up to which nothing is missing here."""
        heard = self._heard if self._floor is None else min(self._floor, self._heard)
        waiting = hub.waiting()
        return min([heard, *(event.n - 1 for event in waiting if event.n)]) if waiting else heard
