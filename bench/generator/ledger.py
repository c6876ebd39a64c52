"""The books of a closed loop: what was sent, what is still owed for it, what came twice, late or never."""

import random
import time
from array import array

from bench.generator.crowd import Client, Crowd
from bench.generator.http import Asker
from bench.generator.latency import summarise
from bench.generator.wire import ACK, DELIVERY, REFUSED, Reading

__all__ = ["Ledger"]


class Ledger:
    """Messages are numbered over all senders. Each is owed one ack and `copies` deliveries; then its slot is free.

    A recipient hears one sender only, so `previous`, the sender's message before, is what it must have seen last.
    """

    def __init__(self, crowd: Crowd, copies: int) -> None:
        self.crowd = crowd
        self.owed_at_first = copies + 1
        self.run = b"%x" % random.getrandbits(40)
        self.targets: dict[str, bytes] = {}
        self.sender: list[Client] = []
        self.sent_at: list[float] = []
        self.owed: list[int] = []
        self.previous: list[int] = []
        self.last_of: dict[str, int] = {}
        self.acked = bytearray()
        self.refusals: list[str] = []
        self.unfinished = self.duplicates = self.out_of_order = 0
        self.sending = True
        self.restart()

    def restart(self) -> None:
        """Forget the figures, not the messages: the warm-up is over."""
        self.ack_latency, self.delivery_latency = array("d"), array("d")
        self.finished = 0

    def send(self, client: Client) -> None:
        """One more message of this sender."""
        number = len(self.sender)
        self.sender.append(client)
        self.sent_at.append(time.perf_counter())
        self.owed.append(self.owed_at_first)
        self.previous.append(self.last_of.get(client.user, -1))
        self.last_of[client.user] = number
        self.acked.append(0)
        self.unfinished += 1
        self.crowd.write(client, self.crowd.wire.send(number, self.targets[client.user], self.run))

    def take(self, client: Client | Asker, readings: list[Reading], now: float) -> None:
        """Book what a client read at this time."""
        for kind, number, payload in readings:
            if kind == DELIVERY:
                if self.previous[number] == client.last:
                    client.last = number
                elif self._is_copy(client, number):
                    continue
                self.delivery_latency.append(now - self.sent_at[number])
            elif kind == ACK:
                if self.acked[number]:
                    self.duplicates += 1
                    continue
                self.acked[number] = 1
                self.ack_latency.append(now - self.sent_at[number])
            else:
                if kind == REFUSED:
                    self.refusals.append(payload.decode()[:200])
                continue
            self.owed[number] -= 1
            if not self.owed[number]:
                self._finish(number)

    def _finish(self, number: int) -> None:
        self.finished += 1
        self.unfinished -= 1
        if self.sending:
            self.send(self.sender[number])

    def _is_copy(self, client: Client | Asker, number: int) -> bool:
        """What to make of a delivery that is not the next: ahead of others, which are missing now; late; or a copy."""
        if number > client.last:
            before = self.previous[number]
            while before > client.last:
                client.missing.add(before)
                before = self.previous[before]
            client.last = number
            return False
        if number in client.missing:
            client.missing.remove(number)
            self.out_of_order += 1
            return False
        self.duplicates += 1
        return True

    def figures(self, seconds: float) -> dict[str, object]:
        """What happened since `restart`, which was so many seconds ago, and the faults of the whole run."""
        return {
            "seconds": seconds,
            "messages": self.finished,
            "deliveries": len(self.delivery_latency),
            "ack": summarise(self.ack_latency),
            "delivery": summarise(self.delivery_latency),
        }

    def faults(self) -> dict[str, object]:
        """What went wrong since the beginning, and what the database must hold now."""
        return {
            "acked": sum(self.acked),
            "lost": sum(self.owed),
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "refused": len(self.refusals),
            "refusals": self.refusals[:3],
            "gone": [why for _, why in self.crowd.gone[:3]],
        }
